// The connection to the proxy: it comes again by itself, and says what it is doing.

import { byId, say } from "./elements.js";
import { showAway } from "./sections.js";

const SILENCE_MS = 12000;
const AGAIN_MS = 3000;
const LONGEST_AGAIN_MS = 30000;
const PATIENCE_MS = 3000;
const CROWDED_MS = 30000;

/** What to say when the proxy refuses the page: it would refuse each attempt. @type {Object<number, string>} */
const REFUSALS = { 401: "you are signed out", 403: "you may not see this page any more", 404: "the page is not here any more", 421: "the page is not here any more" };

/** When the last news came, in UNIX seconds. 0 before the first. */
let heardAt = 0;

function showOn() {
  heardAt = Date.now() / 1000;
  byId("live").className = "live on";
  say(byId("live-text"), "live");
  byId("again").hidden = true;
}

/** @param {string} text why there is no news @param {boolean} [isOver] the page does not ask any more */
function showOff(text, isOver = false) {
  byId("live").className = "live off";
  say(byId("live-text"), text);
  byId("again").hidden = !isOver;
  showAway(text, heardAt);
}

/** An EventSource does not tell why it got no stream, so this asks something small. @returns {Promise<string|undefined>} why the proxy refuses the page, if it does */
async function refusal() {
  const answer = await fetch(`page/history?since=${Number.MAX_SAFE_INTEGER}`).catch(() => null);
  return REFUSALS[answer?.status];
}

/**
 * Listens for as long as the page is open. A browser comes again by itself when a stream ends, but not after an answer
 * that is none: then this does.
 * @param {function(): number} since the time of the newest sample that the page has
 * @param {function(Object): void} onState gets the sections that have changed
 * @param {function(Samples): void} onSamples
 * @param {number} [again] milliseconds until the next attempt, if this one fails
 */
export function listen(since, onState, onSamples, again = AGAIN_MS) {
  const source = new EventSource(`events?since=${since()}`);
  let timer = 0;
  const later = (milliseconds, work) => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
  const heard = () => {
    again = AGAIN_MS;
    showOn();
    later(SILENCE_MS, () => showOff("no news from the proxy"));
  };
  source.addEventListener("now", (event) => { heard(); onState(JSON.parse(event.data)); });
  source.addEventListener("samples", (event) => { heard(); onSamples(JSON.parse(event.data)); });
  source.addEventListener("crowded", () => {
    source.close();
    showOff("too many pages are open; this one goes on in 30 s");
    later(CROWDED_MS, () => listen(since, onState, onSamples));
  });
  source.addEventListener("error", async () => {
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(timer);
      const refused = await refusal();
      if (refused) return showOff(refused, true);
      showOff("the proxy does not answer; trying again");
      later(again, () => listen(since, onState, onSamples, Math.min(LONGEST_AGAIN_MS, 2 * again)));
    } else {
      later(PATIENCE_MS, () => showOff("the proxy does not answer; trying again"));
    }
  });
}
