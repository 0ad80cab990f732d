// A plot of several series over time, drawn as SVG: areas on top of each other, or lines.

import { html, say, svg, update } from "./elements.js";
import { clock, hoursAndMinutes } from "./format.js";
import { samplesFrom } from "./samples.js";
import { timeTicks, valueTicks } from "./scale.js";

/**
 * @typedef {Object} Line
 * @property {string} label
 * @property {number} colour its place in the palette
 * @property {(number|null)[]} values
 */
/**
 * @typedef {Object} PlotKind
 * @property {string} title with the unit
 * @property {boolean} isStack
 * @property {function(number): string} format
 * @property {function(Samples): Line[]} lines
 * @property {number} [unit] the axis has round multiples of it
 * @property {number} [least] the least step of the axis, in units
 * @property {string} [nothing] what to say when nothing happened
 * @property {string} [note] what it means
 */

const NARROWEST = 200;
const HEIGHT = 190;
const EDGE = { left: 54, right: 10, top: 8, bottom: 22 };
const TABLE_ROWS = 60;
let plotNumber = 0;

export class Plot {
  /** @param {PlotKind} kind */
  constructor(kind) {
    this.kind = kind;
    const number = plotNumber++;
    this.when = html("span", { class: "when" });
    this.drawing = svg("svg", { class: "plot", role: "img", tabindex: 0, "aria-labelledby": `plot-${number} sum-${number}` });
    this.legend = html("ul", { class: "legend" });
    this.summary = html("span", { id: `sum-${number}`, hidden: true });
    this.rows = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${kind.title}: table` });
    this.details = html("details", {}, html("summary", {}, "Table"), this.rows);
    this.figure = html("figure", { class: "card" }, html("figcaption", {}, html("h3", { id: `plot-${number}` }, kind.title), this.when), kind.note ? html("p", { class: "note" }, kind.note) : null, this.drawing, this.legend, this.summary, this.details);
    this.cursor = null;
    this.width = 0;
    new ResizeObserver(() => this.#resized()).observe(this.drawing);
    this.details.addEventListener("toggle", () => this.#fillTable());
    this.drawing.addEventListener("pointermove", (event) => this.#pointAt(event));
    this.drawing.addEventListener("pointerleave", () => this.#setCursor(null));
    this.drawing.addEventListener("blur", () => this.#setCursor(null));
    this.drawing.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {Samples} samples @param {number} from @param {number} to UNIX seconds */
  show(samples, from, to) {
    this.samples = samplesFrom(samples, from);
    this.from = from;
    this.to = to;
    this.lines = this.kind.lines(this.samples);
    if (this.cursor !== null && this.cursor >= this.samples.at.length) this.cursor = null;
    this.#draw();
    this.#tell();
    if (this.details.open) this.#fillTable();
  }

  #resized() {
    const width = Math.max(NARROWEST, Math.round(this.drawing.getBoundingClientRect().width));
    if (width === this.width) return;
    this.width = width;
    if (this.samples) { this.#draw(); this.#tell(); }
  }

  #x(at) {
    return EDGE.left + ((at - this.from) / (this.to - this.from)) * (this.width - EDGE.left - EDGE.right);
  }

  #y(value) {
    return HEIGHT - EDGE.bottom - (value / this.top) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  #draw() {
    this.width ||= 480;
    const { at } = this.samples;
    const layers = this.kind.isStack ? stacked(this.lines, at.length) : this.lines.map((line) => ({ low: null, high: line.values }));
    const most = Math.max(0, ...layers.flatMap((layer) => layer.high.map((value) => value ?? 0)));
    const unit = this.kind.unit ?? 1;
    const ticks = valueTicks(most / unit, this.kind.least).map((value) => value * unit);
    this.top = ticks.at(-1);
    const parts = ticks.flatMap((value) => [
      svg("line", { class: "grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: this.#y(value), y2: this.#y(value) }),
      svg("text", { x: EDGE.left - 6, y: this.#y(value) + 4, "text-anchor": "end" }, this.kind.format(value)),
    ]);
    for (const tick of timeTicks(this.from, this.to, Math.max(2, Math.floor(this.width / 75)))) {
      const x = this.#x(tick.at);
      if (x < this.width - 14 && x > EDGE.left + 10) parts.push(svg("text", { x, y: HEIGHT - 6, "text-anchor": "middle" }, tick.text));
    }
    layers.forEach((layer, index) => {
      const { colour } = this.lines[index];
      if (layer.low) parts.push(svg("path", { class: `area f${colour}`, d: this.#area(layer) }));
      else parts.push(svg("path", { class: `curve s${colour} dash${index}`, d: this.#curve(layer.high) }));
    });
    if (!most) parts.push(svg("text", { class: "empty", x: (this.width + EDGE.left) / 2, y: HEIGHT / 2 }, at.length ? (this.kind.nothing ?? "nothing in this time") : "the first sample comes within 20 seconds"));
    this.cursorLine = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    this.drawing.replaceChildren(...parts, this.cursorLine);
  }

  /** The places of samples that follow each other without a gap. @returns {number[][]} */
  #runs(values) {
    const runs = [];
    let last = -2;
    values.forEach((value, index) => {
      if (value === null) return;
      const isNext = index === last + 1 && this.samples.at[index] - this.samples.at[last] < 3 * this.samples.seconds;
      if (isNext) runs.at(-1).push(index);
      else runs.push([index]);
      last = index;
    });
    return runs;
  }

  #points(places, values) {
    return places.map((index) => `${this.#x(this.samples.at[index]).toFixed(1)},${this.#y(values[index]).toFixed(1)}`);
  }

  #curve(values) {
    return this.#runs(values).map((run) => {
      const points = this.#points(run, values);
      return `M${points.length === 1 ? `${points[0]}h1` : points.join("L")}`;
    }).join("");
  }

  #area({ low, high }) {
    return this.#runs(high).map((run) => {
      const back = this.#points(run, low).reverse();
      return `M${this.#points(run, high).join("L")}L${back.join("L")}Z`;
    }).join("");
  }

  /** What the plot shows, in a sentence for those who do not see it, and in the legend. */
  #tell() {
    const { at } = this.samples;
    const place = this.cursor ?? at.length - 1;
    const { format } = this.kind;
    say(this.when, at.length ? `${this.cursor === null ? "now" : clock(at[place])}` : "");
    const shown = (value) => (value === null || value === undefined ? "–" : format(value));
    update(this.legend, ...this.lines.map((line, index) => html("li", {}, swatch(line, index, this.kind.isStack), line.label, html("b", {}, shown(line.values[place] ?? (this.kind.isStack && at.length ? 0 : null))))));
    const parts = this.lines.map((line) => {
      const known = line.values.filter((value) => value !== null);
      return known.length ? `${line.label}: now ${shown(line.values.at(-1))}, at most ${format(Math.max(...known))}` : `${line.label}: none`;
    });
    say(this.summary, `from ${hoursAndMinutes(this.from)} to ${hoursAndMinutes(this.to)}. ${parts.join(". ")}.`);
    this.cursorLine.setAttribute("visibility", this.cursor === null ? "hidden" : "visible");
    if (this.cursor !== null) for (const end of ["x1", "x2"]) this.cursorLine.setAttribute(end, this.#x(at[this.cursor]));
  }

  #setCursor(place) {
    if (place === this.cursor || !this.samples) return;
    this.cursor = place;
    this.#tell();
  }

  #pointAt(event) {
    const { at } = this.samples ?? { at: [] };
    if (!at.length) return;
    const box = this.drawing.getBoundingClientRect();
    const x = event.clientX - box.left;
    const time = this.from + ((x - EDGE.left) / (this.width - EDGE.left - EDGE.right)) * (this.to - this.from);
    let best = 0;
    at.forEach((one, index) => { if (Math.abs(one - time) < Math.abs(at[best] - time)) best = index; });
    this.#setCursor(best);
  }

  #key(event) {
    const last = (this.samples?.at.length ?? 0) - 1;
    const here = this.cursor ?? last;
    const moves = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last };
    if (last < 0 || !(event.key in moves)) return;
    event.preventDefault();
    this.#setCursor(Math.min(last, Math.max(0, moves[event.key])));
  }

  #fillTable() {
    if (!this.details.open || !this.samples) return;
    const { at } = this.samples;
    const every = Math.max(1, Math.ceil(at.length / TABLE_ROWS));
    const places = at.map((_, index) => index).filter((index) => (at.length - 1 - index) % every === 0).reverse();
    const cells = (place) => this.lines.map((line) => html("td", { class: "number" }, line.values[place] === null || line.values[place] === undefined ? "–" : this.kind.format(line.values[place])));
    const head = html("tr", {}, html("th", { scope: "col" }, "time"), ...this.lines.map((line) => html("th", { scope: "col", class: "number" }, line.label)));
    const body = places.map((place) => html("tr", {}, html("th", { scope: "row" }, clock(at[place])), ...cells(place)));
    update(this.rows, html("table", {}, html("thead", {}, head), html("tbody", {}, ...body)));
  }
}

/** Put the lines on top of each other. @param {Line[]} lines @param {number} length */
function stacked(lines, length) {
  let low = Array(length).fill(0);
  return lines.map((line) => {
    const high = low.map((value, index) => value + (line.values[index] ?? 0));
    const layer = { low, high };
    low = high;
    return layer;
  });
}

function swatch(line, index, isStack) {
  const mark = isStack
    ? svg("rect", { class: `f${line.colour}`, width: 12, height: 10, rx: 2, x: 2 })
    : svg("line", { class: `curve s${line.colour} dash${index}`, x1: 0, x2: 16, y1: 5, y2: 5 });
  return svg("svg", { viewBox: "0 0 16 10", "aria-hidden": "true" }, mark);
}
