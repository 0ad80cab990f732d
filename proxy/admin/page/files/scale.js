// Where a value stands in a plot, and which values the axes name.

import { clock, hoursAndMinutes } from "./format.js";

/** @param {number} most @param {number} [least] between two of them @param {number} [wanted] @returns {number[]} round values from 0 to at least `most` */
export function valueTicks(most, least = 0, wanted = 4) {
  const rough = (most > 0 ? most : 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999 && (!least || one % least === 0 || one < least)));
  const last = Math.ceil((most > 0 ? most : 1) / step - 1e-9);
  return Array.from({ length: last + 1 }, (_, index) => index * step);
}

const STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600];

/** @param {number} from @param {number} to UNIX seconds @param {number} wanted @returns {{at: number, text: string}[]} */
export function timeTicks(from, to, wanted) {
  const step = STEPS.find((one) => (to - from) / one <= wanted) ?? 43200;
  const offset = new Date(to * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((from - offset) / step) * step + offset;
  const found = [];
  for (let at = first; at <= to; at += step) found.push({ at, text: step < 60 ? clock(at) : hoursAndMinutes(at) });
  return found;
}
