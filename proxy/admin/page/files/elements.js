// Elements of the document. Text is always text: no string becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node|string|number|null|undefined} Child */

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  return document.getElementById(id);
}

/** @param {Element} made @param {Object<string, *>} attributes @param {Child[]} children */
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** @param {string} tag @param {Object<string, *>} [attributes] @param {...Child} children @returns {HTMLElement} */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** @param {string} tag @param {Object<string, *>} [attributes] @param {...Child} children @returns {SVGElement} */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** @param {"good"|"warn"|"bad"|""} state @param {string} text @returns {HTMLElement} */
export function pill(state, text) {
  return html("span", { class: `pill ${state}` }, text);
}

/**
 * Show these children, and leave alone what is there already: a selection, the focus and a scrolled place stay.
 * @param {Element} where @param {...Child} children
 */
export function update(where, ...children) {
  const present = [...where.childNodes];
  const wanted = children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  wanted.forEach((node, index) => {
    if (index < present.length) become(present[index], node);
    else where.append(node);
  });
  for (const node of present.slice(wanted.length)) node.remove();
}

/** @param {Node} node that is shown @param {Node} wanted */
function become(node, wanted) {
  if (node.isEqualNode(wanted)) return;
  if (node.nodeName !== wanted.nodeName) return node.replaceWith(wanted);
  if (!(node instanceof Element)) {
    node.textContent = wanted.textContent;
    return;
  }
  for (const name of node.getAttributeNames()) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const name of wanted.getAttributeNames()) if (node.getAttribute(name) !== wanted.getAttribute(name)) node.setAttribute(name, wanted.getAttribute(name));
  update(node, ...wanted.childNodes);
}

/** Change a text only when it differs: a screen reader announces each change. @param {Element} where @param {string} text */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** @param {string} text with code between backticks @returns {Child[]} */
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? html("code", {}, part) : part));
}
