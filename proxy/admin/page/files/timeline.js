// Certificates from their issue to their expiry, with the next rotation.

import { html, svg } from "./elements.js";
import { age, moment } from "./format.js";

/** @param {Object} one a certificate @param {number} now @returns {"good"|"warn"|"bad"} */
export function urgencyOf(one, now) {
  if (!one.expires_at || one.expires_at <= now || ["grave", "expired"].includes(one.urgency)) return "bad";
  const begins = one.begins_at ?? one.expires_at;
  const left = (one.expires_at - now) / Math.max(1, one.expires_at - begins);
  return one.urgency === "late" || one.error || (!one.next_at && begins < one.expires_at && left < 0.25) ? "warn" : "good";
}

/** @param {Object} one @param {number} now @returns {string} */
export function leftOf(one, now) {
  if (!one.expires_at) return "there is none yet";
  return one.expires_at > now ? `expires in ${age(one.expires_at - now)}` : `expired ${age(now - one.expires_at)} ago`;
}

/** @param {Object} one @param {number} now @returns {SVGElement} its life from left to right; the diamond is the next rotation */
function bar(one, now) {
  const from = one.begins_at ?? now;
  const length = Math.max(1, one.expires_at - from);
  const share = (at) => Math.min(100, Math.max(0, ((at - from) / length) * 100));
  const here = share(now);
  const picture = svg("svg", { "aria-hidden": "true" },
    svg("rect", { class: "track", y: 5, width: "100%", height: 12, rx: 3 }),
    svg("rect", { class: "spent", y: 5, width: `${here}%`, height: 12, rx: 3 }),
    svg("rect", { class: `left ${urgencyOf(one, now)}`, x: `${here}%`, y: 5, width: `${100 - here}%`, height: 12, rx: 3 }),
    svg("line", { class: "now-mark", x1: `${here}%`, x2: `${here}%`, y1: 1, y2: 21 }));
  if (one.next_at) {
    const mark = svg("path", { class: "next-mark", d: "M0,2l7,9l-7,9l-7,-9Z" });
    picture.append(svg("svg", { x: `${share(Math.max(one.next_at, now))}%`, overflow: "visible" }, mark));
  }
  return picture;
}

// More bars are no picture any more: the table below has them all.
const MOST_BARS = 20;

/** @param {Object[]} rows the first to expire first @param {number} now @returns {HTMLElement} */
export function timeline(rows, now) {
  const drawn = rows.filter((one) => one.expires_at);
  const rest = drawn.length - MOST_BARS;
  return html("ul", { class: "timeline" }, ...drawn.slice(0, MOST_BARS).map((one) =>
    html("li", {},
      html("span", { class: "who" }, one.identity, html("small", {}, `${one.credential}, ${leftOf(one, now)}`)),
      html("div", {}, bar(one, now), html("small", { class: "note" }, `${one.begins_at ? moment(one.begins_at) : "–"} → ${moment(one.expires_at)}${one.next_at ? `, ◆ next rotation ${moment(one.next_at)}` : ", from a file: it does not rotate by itself"}`))),
  ), rest > 0 ? html("li", { class: "note" }, `These expire first. The table has ${rest} more.`) : null);
}
