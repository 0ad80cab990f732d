// The page: it loads the history, listens to the proxy, and draws.

import { byId, html } from "./elements.js";
import { foldSections } from "./folds.js";
import { Plot } from "./plot.js";
import { knowGroups, PLOTS, signingPlot } from "./plots.js";
import { append, noSamples } from "./samples.js";
import { showSections } from "./sections.js";
import { listen } from "./stream.js";
import { showTiles } from "./tiles.js";

const SPANS = [["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400]];
const SHORTEST = 120;
const DAY_EVERY_MS = 60000;
const SET_BACK = 11; // the history starts again when the clock was set back by more than ten seconds

const state = {};
const history = { hour: noSamples(), day: noSamples() };
const plots = [];
const plotsOfTokens = new Map();
let span = SPANS[0][1];
let dayAt = -Infinity;

/** @param {"hour"|"day"} which */
async function load(which) {
  const since = history[which].at.at(-1) ?? 0;
  const answer = await fetch(`page/history?span=${which}&since=${since}`);
  if (answer.ok) append(history[which], await answer.json());
}

function draw() {
  showTiles(byId("tiles"), history.hour);
  const samples = span > 3600 ? history.day : history.hour;
  const to = Math.max(state.proxy?.now ?? Date.now() / 1000, samples.at.at(-1) ?? 0);
  for (const name of Object.keys(history.hour.series)) {
    const key = name.slice(0, name.lastIndexOf("/"));
    if (key.startsWith("signing ") && !plotsOfTokens.has(key)) plotsOfTokens.set(key, addPlot("tokens-plots", signingPlot(key)));
  }
  const first = samples.at[0] ?? to;
  const from = Math.max(to - span, Math.min(first, to - SHORTEST)); // a young proxy has less than the span
  for (const plot of plots) plot.show(samples, from, to);
}

async function drawAnew() {
  if (span > 3600 && performance.now() - dayAt > DAY_EVERY_MS) {
    dayAt = performance.now();
    await load("day").catch(() => {}); // the stream says that the proxy is down
  }
  draw();
}

function addPlot(place, kind) {
  const plot = new Plot(kind);
  byId(place).append(plot.figure);
  plots.push(plot);
  return plot;
}

function addSpans() {
  byId("spans").append(...SPANS.flatMap(([text, length], index) => {
    const choice = html("input", { type: "radio", name: "span", id: `span-${index}`, value: length, checked: length === span });
    choice.addEventListener("change", () => { span = length; void drawAnew(); });
    return [choice, html("label", { for: `span-${index}` }, text)];
  }));
}

async function begin() {
  byId("app").hidden = false;
  foldSections();
  addSpans();
  for (const [place, kinds] of Object.entries(PLOTS)) for (const kind of kinds) addPlot(place, kind);
  await load("hour").catch(() => {});
  draw();
  listen(
    () => history.hour.at.at(-1) ?? 0,
    (changed) => {
      const isFirst = !state.proxy;
      const isAnother = !isFirst && changed.proxy && changed.proxy.started_at !== state.proxy.started_at;
      const isSetBack = !isFirst && state.proxy.now - changed.proxy?.now > SET_BACK;
      if (isAnother || isSetBack) return location.reload(); // the history starts again; and a new process has perhaps another page
      Object.assign(state, changed);
      if (changed.quantum_safe_groups) knowGroups(changed.quantum_safe_groups);
      showSections(state, Object.keys(changed));
      if (isFirst) draw();
    },
    (samples) => { append(history.hour, samples); void drawAnew(); },
  );
}

void begin();
