// The connection to the proxy: it comes again by itself, and says what it is doing.

import { byId, say } from "./elements.js";

const SILENCE_MS = 12000;

/** @param {"on"|"off"|""} state @param {string} text */
function showLive(state, text) {
  byId("live").className = `live ${state}`;
  say(byId("live-text"), text);
}

/**
 * @param {number} since the time of the newest sample that the page has
 * @param {function(Object): void} onState gets the sections that have changed
 * @param {function(Samples): void} onSamples
 */
export function listen(since, onState, onSamples) {
  const source = new EventSource(`events?since=${since}`);
  let timer = 0;
  const heard = () => {
    showLive("on", "live");
    clearTimeout(timer);
    timer = setTimeout(() => showLive("off", "no news from the proxy"), SILENCE_MS);
  };
  source.addEventListener("now", (event) => { heard(); onState(JSON.parse(event.data)); });
  source.addEventListener("samples", (event) => { heard(); onSamples(JSON.parse(event.data)); });
  source.addEventListener("crowded", () => { clearTimeout(timer); showLive("off", "too many pages are open; this one goes on in 30 s"); });
  source.addEventListener("error", () => {
    clearTimeout(timer);
    if (!byId("live").classList.contains("off")) timer = setTimeout(() => showLive("off", "the proxy does not answer; trying again"), 3000);
    if (source.readyState === EventSource.CLOSED) {
      showLive("off", "the proxy refused; load the page again");
      clearTimeout(timer);
    }
  });
}
