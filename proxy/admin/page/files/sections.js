// What the page shows of the state: one function for each section of the document.

import { byId, html, pill, say, update, withCode } from "./elements.js";
import { age, bytes, clock, count, inWords, moment, percent, perSecond, seconds } from "./format.js";
import { showTable } from "./table.js";
import { leftOf, timeline, urgencyOf } from "./timeline.js";

const SIGNS = { good: "M7 12.5l3.4 3.5L17 8.8", warn: "M12 6.5v7M12 17.2v.1", bad: "M8 8l8 8M16 8l-8 8" };
const AREAS = { tls: "TLS", limits: "limit", http: "HTTP", server: "server", client: "client left" };
const SERVER_STATES = { up: "good", draining: "warn", drained: "warn", ejected: "warn", "slow-start": "warn", down: "bad" };
const TOKEN_STATES = { closed: "good", slow: "warn", half_open: "warn", proved: "warn", open: "bad", stopped: "bad" };
const WORKER_STATES = { serving: "good", draining: "warn", silent: "bad" };

/** The seconds of processor time of each worker at the look before. @type {Map<number, {cpu: number, at: number}>} */
const computed = new Map();

/** What is to be known of the fleet. @param {Object | null} fleet */
function ofFleet(fleet) {
  if (!fleet) return [];
  const others = fleet.differing.length ? `, ${fleet.differing.join(", ")} with another configuration` : "";
  return [
    ["Node", fleet.node], ["Fleet leader", fleet.leader ?? "none"], ["Fleet", fleet.epoch === null ? "not joined" : `${fleet.alive} of ${fleet.members} nodes, epoch ${fleet.epoch}${others}`],
    ["Fleet store", fleet.fault ?? `revision ${fleet.revision}`], ...(fleet.skew === null ? [] : [["Fleet clock", Math.abs(fleet.skew) < 2 ? "agrees" : `${Math.abs(fleet.skew)} s ${fleet.skew > 0 ? "ahead" : "behind"}`]]),
  ];
}

function showReadiness({ readiness, proxy, alerts, backup, fleet }) {
  const state = readiness.reasons.length ? "bad" : readiness.doubts.length ? "warn" : "good";
  byId("readiness").closest("section").className = `state ${state}`;
  byId("sign").setAttribute("d", SIGNS[state]);
  say(byId("readiness"), readiness.sentence);
  document.title = `${{ good: "Ready", warn: "Ready, degraded", bad: "Not ready" }[state]} · Plexigate`;
  const several = [...readiness.reasons, ...readiness.doubts];
  update(byId("reasons"), ...(several.length > 1 ? several.map((one) => html("li", {}, `${one.subject} ${one.name} ${one.detail}`)) : []));
  const reloads = Object.entries(proxy.reloads).map(([result, times]) => `${times} ${result}`).join(", ");
  const facts = [
    ["State of", moment(proxy.now)], ["Version", proxy.version], ["Up for", age(proxy.now - proxy.started_at)], ["Configuration", `number ${proxy.generation}, in force for ${age(proxy.now - proxy.configured_at)}`],
    ["Reloads", reloads || "none"], ["Code", proxy.hot_path === "compiled" ? "compiled" : `${proxy.hot_path}, which is slower`], ["Workers replaced", count(proxy.restarts)], ["Alerts", count(alerts.rows.length + alerts.more)],
    ...(backup ? [["Newest backup", backup.newest_at === null ? "none" : `${age(proxy.now - backup.newest_at)} old${backup.late ? ", too old" : ""}`]] : []),
    ...ofFleet(fleet),
  ];
  update(byId("facts"), ...facts.map(([name, value]) => html("span", {}, `${name} `, html("b", {}, value))));
  say(byId("footer"), `The history has a sample of each 10 seconds of the last hour, and of each minute of the last day. A reload and an upgrade keep it, a restart begins anew. Times are those of this browser, ${Intl.DateTimeFormat().resolvedOptions().timeZone}. This page changes nothing.`);
}

/** The state is not known any more: nothing may say that the proxy is ready. @param {string} why @param {number} at UNIX seconds of the last news, 0 without any */
export function showAway(why, at) {
  byId("readiness").closest("section").className = "state";
  byId("sign").setAttribute("d", SIGNS.warn);
  say(byId("readiness"), at ? `No data since ${moment(at)}: ${why}. The page shows the state of that time.` : `No data: ${why}.`);
  document.title = "No data · Plexigate";
}

function showAlerts({ alerts }) {
  const none = html("p", { class: "none" }, "No alert is open.");
  const found = alerts.rows.map((one) => html("article", { class: `alert ${one.urgency}` },
    html("p", { class: "what" }, pill(one.urgency === "warning" ? "warn" : one.urgency === "info" ? "" : "bad", one.urgency), ...withCode(one.text)),
    html("p", { class: "remedy" }, ...withCode(one.remedy)),
    html("p", { class: "meta" }, `${inWords(one.kind)} · ${one.subject} · since ${moment(Date.parse(one.since) / 1000)}`)));
  update(byId("alerts-list"), ...(found.length ? found : [none]));
}

function showListeners({ listeners }) {
  showTable(byId("listeners-table"), "There is no listener.", "Listeners", [
    { title: "listener", cell: (one) => one.name },
    { title: "addresses", cell: (one) => one.addresses.map((address) => html("span", { class: "whole" }, `${address} `)) },
    { title: "policy", cell: (one) => one.pq },
    { title: "groups", cell: (one) => one.groups.replaceAll(":", ", ") || "–" },
    { title: "open", isNumber: true, cell: (one) => count(one.connections_open) },
    { title: "post-quantum", isNumber: true, cell: (one) => percent(one.hybrid_share) },
  ], listeners, "cards");
}

function showClassical({ classical }) {
  const where = byId("classical-tables");
  if (!classical.connections) return update(where, html("p", { class: "none" }, "Every client that sent a request can use a post-quantum group."));
  const [agents, networks] = [html("div"), html("div")];
  showTable(agents, "", "By user agent", [
    { title: "user agent", cell: (one) => one.user_agent },
    { title: "connections", isNumber: true, cell: (one) => count(one.connections) },
  ], { rows: classical.user_agents, more: 0 }, "");
  showTable(networks, "", "By network", [
    { title: "network", cell: (one) => one.network },
    { title: "connections", isNumber: true, cell: (one) => count(one.connections) },
  ], { rows: classical.networks, more: 0 }, "");
  update(where, html("p", { class: "note" }, `${count(classical.connections)} connections since the start. pq = "require" would refuse them.`), agents, networks);
}

function showCertificates({ certificates, proxy }) {
  update(byId("timeline"), timeline(certificates.rows, proxy.now));
  showTable(byId("certificates-table"), "There is no certificate.", "Certificates", [
    { title: "identity", cell: (one) => one.identity },
    { title: "credential", cell: (one) => one.credential },
    { title: "names", cell: (one) => one.names.join(", ") },
    { title: "key in", cell: (one) => one.place || "–" },
    { title: "issuer", cell: (one) => one.issuer ?? "a file" },
    { title: "state", isState: true, cell: (one) => [pill(urgencyOf(one, proxy.now), leftOf(one, proxy.now)), one.error ? html("span", {}, one.error) : null] },
    { title: "next rotation", cell: (one) => (one.next_at ? moment(one.next_at) : "none") },
  ], certificates);
}

function showTokens({ tokens }) {
  byId("tokens").hidden = document.querySelector("nav a[href='#tokens']").hidden = !tokens.rows.length;
  const ofWorker = (state) => pill(TOKEN_STATES[state] ?? "", inWords(state));
  showTable(byId("tokens-table"), "No key is in a token.", "Tokens", [
    { title: "token", cell: (one) => one.token },
    { title: "probe of the parent", cell: (one) => [pill(one.condition === "well" ? "good" : "bad", inWords(one.condition)), one.detail] },
    { title: "breaker, by worker", cell: (one) => one.states.map(ofWorker) },
    { title: "sessions", isNumber: true, cell: (one) => `${one.sessions} of ${one.session_limit}` },
    { title: "signing", isNumber: true, cell: (one) => count(one.signing) },
    { title: "waiting", isNumber: true, cell: (one) => count(one.queued) },
    { title: "stuck threads", isNumber: true, cell: (one) => count(one.lost) },
    { title: "last good signature", isNumber: true, cell: (one) => (one.last_good_seconds === null ? "none yet" : `${age(one.last_good_seconds)} ago`) },
    { title: "missing keys", cell: (one) => one.missing_keys.join(", ") || "none" },
  ], tokens, "cards");
}

function showUpstreams({ upstreams }) {
  const states = (one) => Object.entries(one.states).map(([state, workers]) => pill(SERVER_STATES[state] ?? "", `${inWords(state)} in ${workers}`));
  showTable(byId("upstreams-table"), "There is no upstream.", "Upstreams", [
    { title: "upstream", cell: (one) => one.upstream },
    { title: "server", cell: (one) => one.server },
    { title: "state, in workers", isState: true, cell: states },
    { title: "requests", isNumber: true, cell: (one) => count(one.requests) },
    { title: "failures", isNumber: true, cell: (one) => count(one.failures) },
    { title: "connections", isNumber: true, cell: (one) => `${one.open} open, ${one.idle} idle` },
    { title: "waiting", isNumber: true, cell: (one) => count(one.waiting) },
    { title: "first byte p50", isNumber: true, cell: (one) => seconds(one.p50) },
    { title: "first byte p99", isNumber: true, cell: (one) => seconds(one.p99) },
    { title: "WebSockets", isNumber: true, cell: (one) => count(one.websockets) },
  ], upstreams);
}

function showRoutes({ routes, maintenance }) {
  const out = new Map(maintenance.rows.map((one) => [one.route, one.since]));
  const sum = (statuses, ...names) => names.reduce((total, name) => total + (statuses[name] ?? 0), 0);
  const all = (one) => sum(one.requests, ...Object.keys(one.requests));
  const failed = (one) => (one.requests["5xx"] ? pill("bad", count(one.requests["5xx"])) : "0");
  say(byId("routes-note"), routes.seconds === null ? "Since the start." : `The last ${age(routes.seconds)}.${routes.routes.length >= routes.most ? ` The ${routes.most} routes with most requests.` : ""}`);
  showTable(byId("routes-table"), "No requests yet.", "Routes", [
    { title: "route", cell: (one) => [one.route === "-" ? "no route" : one.route, out.has(one.route) ? pill("warn", "maintenance") : null] },
    { title: "requests", isNumber: true, cell: (one) => count(all(one)) },
    { title: "per second", isNumber: true, cell: (one) => (routes.seconds ? perSecond(all(one) / routes.seconds) : "–") },
    { title: "4xx", isNumber: true, cell: (one) => count(sum(one.requests, "4xx", "malformed")) },
    { title: "5xx", isNumber: true, cell: failed },
    { title: "failed", isNumber: true, cell: (one) => percent(all(one) ? (one.requests["5xx"] ?? 0) / all(one) : null) },
    { title: "p50", isNumber: true, cell: (one) => seconds(one.p50) },
    { title: "p99", isNumber: true, cell: (one) => seconds(one.p99) },
    { title: "WebSockets", isNumber: true, cell: (one) => count(one.websockets) },
    { title: "since the start", isNumber: true, cell: (one) => count(sum(one.total, ...Object.keys(one.total))) },
  ], { rows: [...routes.routes].sort((one, other) => all(other) - all(one)), more: 0 });
}

function showRefusals({ refusals, proxy }) {
  showTable(byId("refusals-table"), "Nothing was refused lately.", "Recent refusals", [
    { title: "time", cell: (one) => (proxy.now - one.at < 43200 ? clock(one.at) : moment(one.at)) },
    { title: "listener", cell: (one) => one.listener },
    { title: "area", cell: (one) => pill(one.area === "server" ? "bad" : "", AREAS[one.area]) },
    { title: "reason", cell: (one) => inWords(one.reason) },
    { title: "times", isNumber: true, cell: (one) => count(one.count) },
  ], refusals, "");
}

function showWorkers({ workers, proxy }) {
  const used = (one) => {
    const before = computed.get(one.pid);
    if (!before || before.at !== proxy.now) computed.set(one.pid, { cpu: one.cpu_seconds, at: proxy.now, share: before ? (one.cpu_seconds - before.cpu) / Math.max(0.1, proxy.now - before.at) : null });
    return computed.get(one.pid).share;
  };
  showTable(byId("workers-table"), "No worker runs.", "Workers", [
    { title: "worker", cell: (one) => one.slot },
    { title: "process", cell: (one) => one.pid },
    { title: "state", isState: true, cell: (one) => pill(WORKER_STATES[one.state] ?? "", one.state) },
    { title: "age", isNumber: true, cell: (one) => age(one.age_seconds) },
    { title: "configuration", isNumber: true, cell: (one) => one.generation ?? "–" },
    { title: "connections", isNumber: true, cell: (one) => count(Object.values(one.connections).reduce((sum, open) => sum + open, 0)) },
    { title: "processor", isNumber: true, cell: (one) => percent(used(one)) },
    { title: "memory", isNumber: true, cell: (one) => bytes(one.rss_bytes) },
    { title: "event loop lag p99", isNumber: true, cell: (one) => seconds(one.loop_lag_p99_seconds) },
  ], workers);
}

function showBusiest({ busiest }) {
  showTable(byId("busiest-table"), "No request came in the last minutes.", "Busiest clients", [
    { title: "client", cell: (one) => one.client },
    { title: "share of requests", isNumber: true, cell: (one) => percent(one.share) },
  ], { rows: busiest, more: 0 }, "");
}

function showConfiguration({ configuration, proxy }) {
  say(byId("configuration-note"), configuration.file ? `${configuration.file}, number ${proxy.generation}, read ${moment(configuration.read_at)}. The number grows with each attempt to reload, and with each certificate or secret that is replaced. Comments and secrets are left out.` : "It is not known.");
  say(byId("configuration-text"), configuration.text);
}

/** Which sections of the state each part of the page shows. */
const SHOWN = [
  [["readiness", "proxy", "alerts", "backup", "fleet"], showReadiness], [["alerts"], showAlerts], [["listeners"], showListeners], [["classical"], showClassical],
  [["certificates", "tokens"], showCertificates], [["tokens"], showTokens], [["upstreams"], showUpstreams], [["routes", "maintenance"], showRoutes],
  [["refusals"], showRefusals], [["workers"], showWorkers],
  [["busiest"], showBusiest], [["configuration"], showConfiguration],
];

/** @param {Object} state all sections @param {string[]} changed their names */
export function showSections(state, changed) {
  for (const [names, show] of SHOWN) if (names.some((name) => changed.includes(name))) show(state);
}
