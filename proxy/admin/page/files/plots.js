// Which plots the page has, and what stands in each.

import { bytes, count, data, inWords, percent, perSecond, seconds } from "./format.js";
import { family } from "./samples.js";

const MOST_LINES = 7;
const OTHER_COLOUR = 6;

/** Names that keep their colour, and words for them. */
const KNOWN = {
  "requests/2xx": ["2xx answered", 2], "requests/3xx": ["3xx redirected", 5], "requests/1xx": ["101 WebSocket", 0],
  "requests/4xx": ["4xx refused", 4], "requests/5xx": ["5xx failed", 1], "requests/malformed": ["malformed", 3],
  "handshakes/hybrid": ["post-quantum", 0], "handshakes/hybrid_after_retry": ["post-quantum, one more round trip", 5],
  "handshakes/client_cannot": ["classical: the client cannot", 4], "handshakes/not_required": ["classical: not wanted", 7],
  "handshakes/would_refuse": ["classical: would be refused", 3], "handshakes/refused": ["refused", 1],
  "sessions/full": ["full", 7], "sessions/resumed": ["resumed", 2],
  "protocols/http/1.1": ["HTTP/1.1", 0], "protocols/h2": ["HTTP/2", 2], "protocols/h3": ["HTTP/3", 5],
  "protocols/websocket": ["WebSockets opened", 3],
  "protocols/tcp": ["TCP", 4], "protocols/passthrough": ["TLS passed through", 7],
  "bytes/from_client": ["from clients", 3], "bytes/to_client": ["to clients", 2],
  "open/connections": ["connections", 0], "open/websockets": ["WebSockets", 3], "open/relays": ["TCP and passthrough", 4],
};

/** Groups that withstand a quantum computer have the colours of post-quantum handshakes, all others those of classical ones. */
const QUANTUM_SAFE_COLOURS = [0, 5, 2];
const CLASSICAL_COLOURS = [4, 7, 3];
const quantumSafe = new Set();
let isTold = false;

/** @param {string[]} names of the groups that withstand a quantum computer */
export function knowGroups(names) {
  isTold = true;
  for (const name of names) quantumSafe.add(name);
}

/** @param {Samples} samples @returns {Line[]} */
function groupLines(samples) {
  if (!isTold) return linesOf("groups/")(samples).map((line) => ({ ...line, colour: OTHER_COLOUR }));
  const seen = { true: 0, false: 0 };
  return linesOf("groups/")(samples).map((line) => {
    const isSafe = quantumSafe.has(line.label);
    const colours = isSafe ? QUANTUM_SAFE_COLOURS : CLASSICAL_COLOURS;
    const colour = colours[seen[isSafe]++ % colours.length];
    return line.label === "others" ? line : { ...line, colour, label: isSafe ? line.label : `${line.label} (classical)` };
  });
}

/** @param {Samples} samples @param {string} name @param {number} index @returns {Line} */
function lineOf(samples, name, index) {
  const [label, colour] = KNOWN[name] ?? [inWords(name.slice(name.indexOf("/") + 1)), [0, 2, 4, 3, 5, 7, 1][index % 7]];
  return { label, colour, values: samples.series[name] ?? Array(samples.at.length).fill(null) };
}

/** @param {string} prefix @returns {function(Samples): Line[]} the series of a family, the small ones as one */
function linesOf(prefix) {
  return (samples) => {
    const names = family(samples, prefix);
    const shown = names.slice(0, names.length > MOST_LINES ? MOST_LINES - 1 : MOST_LINES);
    const lines = shown.map((name, index) => lineOf(samples, name, index));
    const rest = names.slice(shown.length);
    if (rest.length) lines.push({ label: "others", colour: OTHER_COLOUR, values: samples.at.map((_, place) => rest.reduce((sum, name) => sum + (samples.series[name][place] ?? 0), 0)) });
    return lines;
  };
}

/** @param {string[]} names @returns {function(Samples): Line[]} */
function theseLines(names) {
  return (samples) => names.map((name, index) => lineOf(samples, name, index)).filter((line) => line.values.some((value) => value !== null));
}

/** @param {string[]} names @returns {function(Samples): Line[]} of rates, which a sample without anything leaves out */
function theseRates(names) {
  return (samples) => theseLines(names)(samples).map((line) => ({ ...line, values: line.values.map((value) => value ?? 0) }));
}

/** @param {string} name of a distribution @returns {function(Samples): Line[]} */
export function quantilesOf(name) {
  return (samples) => ["p50", "p99"].map((part, index) => ({
    label: index ? "p99: 99 of 100 were faster" : "p50: half were faster",
    colour: index,
    values: samples.series[`${name}/${part}`] ?? Array(samples.at.length).fill(null),
  }));
}

/** @param {string} name @returns {PlotKind} */
export function signingPlot(name) {
  return { title: `${name.slice("signing ".length)}: time of a signature`, isStack: false, format: seconds, lines: quantilesOf(name), nothing: "no signature in this time" };
}

/** By the id of the element that they stand in. @type {Object<string, PlotKind[]>} */
export const PLOTS = {
  "traffic-plots": [
    { title: "Requests per second, by status", isStack: true, format: perSecond, lines: linesOf("requests/"), nothing: "no request in this time" },
    { title: "Time of a response", isStack: false, format: seconds, lines: quantilesOf("latency"), nothing: "no request in this time" },
    { title: "Per second, by protocol", isStack: true, format: perSecond, lines: linesOf("protocols/"), nothing: "no request in this time" },
    { title: "Bytes per second", isStack: false, format: data, lines: theseRates(["bytes/to_client", "bytes/from_client"]), nothing: "no byte in this time", note: "Bodies and WebSockets, without heads and TLS." },
    { title: "Open at a time", isStack: false, format: count, least: 1, lines: theseLines(["open/connections", "open/websockets", "open/relays"]), nothing: "nothing is open" },
  ],
  "tls-plots": [
    { title: "Handshakes per second, by outcome", isStack: true, format: perSecond, lines: linesOf("handshakes/"), nothing: "no handshake in this time" },
    { title: "Handshakes per second, by group", isStack: true, format: perSecond, lines: groupLines, nothing: "no handshake in this time" },
    { title: "Handshakes per second, full or resumed", isStack: true, format: perSecond, lines: linesOf("sessions/"), nothing: "no handshake in this time" },
    { title: "Time of a handshake", isStack: false, format: seconds, lines: quantilesOf("handshake"), nothing: "no handshake in this time" },
  ],
  "process-plots": [
    { title: "Processor time of the workers", isStack: false, format: percent, lines: (samples) => [{ ...lineOf(samples, "processes/cpu", 0), label: "all of them; 100 % is one core" }] },
    { title: "Memory of the workers", isStack: false, format: bytes, unit: 1048576, lines: (samples) => [{ ...lineOf(samples, "processes/memory", 1), label: "all of them" }] },
    { title: "Event loop lag", isStack: false, format: seconds, lines: quantilesOf("lag"), note: "How late a worker begins what is due. Users notice more than 100 ms." },
  ],
};
