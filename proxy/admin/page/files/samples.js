// The history that the page has: samples of the last hour and of the last day.

/**
 * @typedef {Object} Samples
 * @property {number} seconds between two samples
 * @property {number} length how many the proxy keeps
 * @property {number[]} at their times in UNIX seconds
 * @property {Object<string, (number|null)[]>} series
 */

/** @returns {Samples} */
export function noSamples() {
  return { seconds: 10, length: 360, at: [], series: {} };
}

/** Add later samples at the end, and forget the oldest. @param {Samples} kept @param {Samples} later */
export function append(kept, later) {
  const last = kept.at.at(-1) ?? 0;
  const first = later.at.findIndex((at) => at > last + 0.5);
  if (first < 0) return;
  const before = kept.at.length;
  kept.at.push(...later.at.slice(first));
  const names = new Set([...Object.keys(kept.series), ...Object.keys(later.series)]);
  for (const name of names) {
    kept.series[name] ??= Array(before).fill(null);
    kept.series[name].push(...(later.series[name] ?? Array(later.at.length).fill(null)).slice(first));
  }
  const tooMany = kept.at.length - later.length;
  if (tooMany > 0) for (const values of [kept.at, ...Object.values(kept.series)]) values.splice(0, tooMany);
}

/** @param {Samples} samples @param {number} from UNIX seconds @returns {Samples} those since then */
export function samplesFrom(samples, from) {
  const first = samples.at.findIndex((at) => at >= from);
  if (first <= 0) return first < 0 ? { ...samples, at: [], series: {} } : samples;
  const series = Object.fromEntries(Object.entries(samples.series).map(([name, values]) => [name, values.slice(first)]));
  return { ...samples, at: samples.at.slice(first), series };
}

/** @param {Samples} samples @param {string[]} names @returns {number[]} their sum at each time */
export function summed(samples, names) {
  return samples.at.map((_, index) => names.reduce((sum, name) => sum + (samples.series[name]?.[index] ?? 0), 0));
}

/** @param {Samples} samples @param {string} prefix @returns {string[]} the series of a family, those with most first */
export function family(samples, prefix) {
  const total = (name) => samples.series[name].reduce((sum, value) => sum + (value ?? 0), 0);
  return Object.keys(samples.series)
    .filter((name) => name.startsWith(prefix))
    .sort((one, other) => total(other) - total(one));
}
