// What is wrong with a document for people who do not see it well, do not use a mouse, or read it on a phone.
(() => {
  const faults = [];
  const named = (element) => element.id ? `#${element.id}` : `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`;
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const fault = (element, what) => faults.push(`${named(element)}: ${what}`);

  // landmarks, language, title, ids
  if (document.documentElement.lang !== "en") faults.push("no language");
  if (!document.title) faults.push("no title");
  for (const landmark of ["main", "header", "nav", "footer"]) if (all(landmark).length !== 1) faults.push(`${all(landmark).length} of ${landmark}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) faults.push(`#${id} stands twice`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby"]) {
      for (const id of (element.getAttribute(attribute) ?? "").split(" ").filter(Boolean)) if (!ids.includes(id)) fault(element, `${attribute} names nothing: ${id}`);
    }
  }

  // headings go down one level at a time, and each section has one
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  levels.forEach((level, index) => { if (index && level > levels[index - 1] + 1) faults.push(`h${level} follows h${levels[index - 1]}`); });
  for (const section of all("section")) if (!section.getAttribute("aria-labelledby")) fault(section, "a section without a name");

  // names
  const nameOf = (element) => element.getAttribute("aria-label") || (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim() || (element.labels?.[0]?.textContent ?? "") || element.textContent.trim();
  for (const element of all("a, button, input, summary, [tabindex='0'], [role=img], [role=region]")) if (!nameOf(element)) fault(element, "has no name");
  for (const picture of all("svg")) if (picture.getAttribute("aria-hidden") !== "true" && picture.getAttribute("role") !== "img" && !picture.parentElement.closest("svg")) fault(picture, "a picture without a role");
  for (const table of all("table")) {
    if (!table.querySelector("thead th[scope=col]")) fault(table, "a table without headings");
    for (const row of table.querySelectorAll("tbody tr")) if (row.children.length !== table.querySelectorAll("thead th").length) fault(table, "a row of another length");
  }
  for (const link of all("a[href^='#']")) if (!document.getElementById(link.getAttribute("href").slice(1))) fault(link, "leads nowhere");
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) fault(element, "has its own tab order");

  // contrast of text (WCAG 2.2, 1.4.3) and of plotted colours (1.4.11)
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((part, index) => part * a + below[index] * (1 - a));
  const light = (rgb) => rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const contrast = (one, other) => { const [low, high] = [light(one), light(other)].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor);
    return colour.length === 4 && colour[3] < 1 ? over(colour, ground(element.parentElement)) : colour.length ? colour : ground(element.parentElement);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !seen(element) || element.closest("noscript, script, style, .skip")) continue;
    const style = getComputedStyle(element);
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const found = contrast(over(colour, ground(element)), ground(element));
    if (found < wanted) fault(element, `contrast ${found.toFixed(2)} of "${texts.currentNode.textContent.trim().slice(0, 20)}"`);
    if (size < 10.5) fault(element, `text of ${size} px`);
  }
  for (const mark of all(".legend rect, .legend line")) {
    const style = getComputedStyle(mark);
    const found = contrast(parse(mark.tagName === "line" ? style.stroke : style.fill), ground(mark.closest(".card")));
    if (found < 3) fault(mark, `contrast ${found.toFixed(2)} of a plotted colour`);
  }

  // a cell belongs to its row: it is no card of its own
  for (const cell of all("th, td")) if (getComputedStyle(cell).boxShadow !== "none") fault(cell, "a cell that looks like a card");
  for (const whole of all(".whole + .whole")) {
    const [left, right] = [whole.previousElementSibling, whole].map((one) => one.getBoundingClientRect());
    if (left.top === right.top && right.left - left.right < 2) fault(whole, "words without a gap");
  }

  // nothing scrolls sideways
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = all("body *").filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll"));
    faults.push(`wider than the screen: ${wide.slice(0, 5).map(named).join(", ")}`);
  }
  return [...new Set(faults)];
})()
