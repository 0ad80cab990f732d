// The connection to the proxy: it comes again by itself, and says what it is doing.

import { byId, say } from "./elements.js";

const SILENCE_MS = 12000;
const AGAIN_MS = 3000;
const PATIENCE_MS = 3000;
const CROWDED_MS = 30000;

/** @param {"on"|"off"|""} state @param {string} text */
function showLive(state, text) {
  byId("live").className = `live ${state}`;
  say(byId("live-text"), text);
}

/**
 * Listens for as long as the page is open. A browser comes again by itself when a stream ends, but not after an answer
 * that is none: then this does.
 * @param {function(): number} since the time of the newest sample that the page has
 * @param {function(Object): void} onState gets the sections that have changed
 * @param {function(Samples): void} onSamples
 */
export function listen(since, onState, onSamples) {
  const source = new EventSource(`events?since=${since()}`);
  let timer = 0;
  const later = (milliseconds, work) => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
  const heard = () => {
    showLive("on", "live");
    later(SILENCE_MS, () => showLive("off", "no news from the proxy"));
  };
  source.addEventListener("now", (event) => { heard(); onState(JSON.parse(event.data)); });
  source.addEventListener("samples", (event) => { heard(); onSamples(JSON.parse(event.data)); });
  source.addEventListener("crowded", () => {
    source.close();
    showLive("off", "too many pages are open; this one goes on in 30 s");
    later(CROWDED_MS, () => listen(since, onState, onSamples));
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) {
      showLive("off", "the proxy does not answer; trying again");
      later(AGAIN_MS, () => listen(since, onState, onSamples));
    } else {
      later(PATIENCE_MS, () => showLive("off", "the proxy does not answer; trying again"));
    }
  });
}
