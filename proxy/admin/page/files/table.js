// Tables, which become lists of names and values on a narrow screen.

import { html, update } from "./elements.js";

/**
 * @typedef {Object} Column
 * @property {string} title
 * @property {function(*): (Child|Child[])} cell makes the content for a row
 * @property {boolean} [isNumber]
 * @property {boolean} [isState] it shows states, which should stay on a line
 */

/** @param {string} caption @param {Column[]} columns @param {Object[]} rows @param {number} more how many rows are left out @param {"stack"|"cards"|""} form @returns {Node[]} */
function table(caption, columns, rows, more, form) {
  const numbered = (column) => (column.isNumber ? "number" : column.isState ? "state" : null);
  const head = html("tr", {}, ...columns.map((column) => html("th", { scope: "col", class: numbered(column) }, column.title)));
  const body = rows.map((row) =>
    html("tr", {}, ...columns.map((column) => html("td", { class: numbered(column), "data-label": column.title }, html("span", {}, ...[column.cell(row)].flat())))),
  );
  const made = html("table", { class: form || null, "aria-label": caption }, html("thead", {}, head), html("tbody", {}, ...body));
  return more ? [made, html("p", { class: "note" }, `${more} more are not shown.`)] : [made];
}

/** @param {Element} where @param {string} nothing what to say without rows @param {string} caption @param {Column[]} columns @param {{rows: Object[], more: number}} found @param {"stack"|"cards"|""} [form] `stack`: cards on a phone; `cards`: always; empty: it fits a phone as it is */
export function showTable(where, nothing, caption, columns, found, form = "stack") {
  update(where, ...(found.rows.length ? table(caption, columns, found.rows, found.more, form) : [html("p", { class: "none" }, nothing)]));
}
