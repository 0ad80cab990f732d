// The numbers at the top, each with a small line of its past.

import { html, svg, update } from "./elements.js";
import { count, percent, perSecond, seconds } from "./format.js";
import { family, summed } from "./samples.js";

const LENGTH = 60;

/** @param {Samples} samples @param {string} prefix @param {string[]} of @returns {(number|null)[]} the share of some series of a family */
function shareOf(samples, prefix, of) {
  const all = summed(samples, family(samples, prefix));
  return summed(samples, of).map((part, index) => (all[index] ? part / all[index] : null));
}

const TILES = [
  ["Requests", (samples) => summed(samples, family(samples, "requests/")), (value) => [perSecond(value), " /s"]],
  ["p99 of responses", (samples) => samples.series["latency/p99"] ?? [], (value) => [seconds(value), ""]],
  ["Failed (5xx)", (samples) => shareOf(samples, "requests/", ["requests/5xx"]), (value) => [percent(value), ""]],
  ["Open connections", (samples) => samples.series["open/connections"] ?? [], (value) => [count(value), ""]],
  ["Open WebSockets", (samples) => samples.series["open/websockets"] ?? [], (value) => [count(value), ""]],
  ["Handshakes", (samples) => summed(samples, family(samples, "handshakes/")), (value) => [perSecond(value), " /s"]],
  ["Post-quantum", (samples) => shareOf(samples, "sessions/", ["handshakes/hybrid", "handshakes/hybrid_after_retry"]), (value) => [percent(value), ""]],
  ["Resumed", (samples) => shareOf(samples, "sessions/", ["sessions/resumed"]), (value) => [percent(value), ""]],
];

/** @param {(number|null)[]} values */
function spark(values) {
  const known = values.map((value, index) => [index, value]).filter(([, value]) => value !== null);
  const most = Math.max(...known.map(([, value]) => value), 1e-9);
  const points = known.map(([index, value]) => `${((index / Math.max(1, values.length - 1)) * 100).toFixed(1)},${(26 - (value / most) * 24).toFixed(1)}`);
  const picture = svg("svg", { viewBox: "0 0 100 27", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (points.length > 1) {
    picture.append(
      svg("path", { class: "spark-area", d: `M${points[0].split(",")[0]},27L${points.join("L")}L${points.at(-1).split(",")[0]},27Z` }),
      svg("path", { class: "spark", d: `M${points.join("L")}` }),
    );
  }
  return picture;
}

/** @param {Element} where @param {Samples} samples those of the last hour */
export function showTiles(where, samples) {
  update(where, ...TILES.map(([title, valuesOf, written]) => {
    const values = valuesOf(samples).slice(-LENGTH);
    const latest = values.at(-1) ?? null;
    const [text, unit] = latest === null ? ["–", ""] : written(latest);
    return html("div", { class: "tile" }, html("dt", {}, title), html("dd", {}, text, html("small", {}, unit), spark(values)));
  }));
}
