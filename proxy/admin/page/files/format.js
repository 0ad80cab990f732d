// How numbers and times are written.

/** @param {number} value @param {number} [digits] @returns {string} at most `digits` significant digits */
export function shortNumber(value, digits = 3) {
  return value === 0 ? "0" : value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** @param {number} value @returns {string} a whole number with its thousands, or 1.2 M */
export function count(value) {
  return value >= 1e6 ? `${shortNumber(value / 1e6)} M` : Math.round(value).toLocaleString("en");
}

/** @param {number} value @returns {string} of something that happens so often a second */
export function perSecond(value) {
  return value >= 1000 ? `${shortNumber(value / 1000)} k` : shortNumber(value);
}

/** @param {?number} value @returns {string} a duration, from microseconds to minutes */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 ms";
  if (value < 0.001) return `${shortNumber(value * 1e6)} µs`;
  if (value < 1) return `${shortNumber(value * 1000)} ms`;
  return value < 120 ? `${shortNumber(value)} s` : age(value);
}

/** @param {number} value @returns {string} an amount of data, in units of 1,000 */
export function data(value) {
  const place = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${shortNumber(value / 1000 ** place)} ${["B", "kB", "MB", "GB", "TB"][place]}`;
}

/** @param {number} value @returns {string} an amount of memory */
export function bytes(value) {
  const mebibytes = value / 1048576;
  return mebibytes >= 1024 ? `${shortNumber(mebibytes / 1024)} GiB` : `${shortNumber(mebibytes)} MiB`;
}

/** @param {?number} value @returns {string} a share of 1 */
export function percent(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : `${shortNumber(value * 100)} %`;
}

/** @param {number} value seconds @returns {string} such as `3 d 4 h` */
export function age(value) {
  const left = Math.max(0, Math.floor(value));
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => left >= size);
  if (first < 0) return "0 s";
  const [name, size] = units[first];
  const next = units[first + 1];
  const rest = next ? Math.floor((left % size) / next[1]) : 0;
  return `${Math.floor(left / size)} ${name}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

/** @param {number} at UNIX seconds @returns {string} the time of the day */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/** @param {number} at UNIX seconds @returns {string} hours and minutes */
export function hoursAndMinutes(at) {
  return clock(at).slice(0, 5);
}

/** @param {?number} at UNIX seconds @returns {string} day and time */
export function moment(at) {
  if (!at) return "–";
  const date = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${hoursAndMinutes(at)}`;
}

/** @param {string} name as the code has it @returns {string} with blanks */
export function inWords(name) {
  return name.replaceAll("_", " ");
}
