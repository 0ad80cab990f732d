// Sections that fold. A phone begins with the first ones open, because the whole page has the
// height of ten screens there.

const NARROW = "(max-width: 40rem)";
const OPEN_ON_A_PHONE = ["alerts", "traffic"];
const KEPT = "plexigate.sections";

/** @returns {Object<string, boolean>} which sections this browser has opened or closed */
function chosenBefore() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {}; // the browser keeps nothing
  }
}

/** @param {Object<string, boolean>} chosen */
function keep(chosen) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(chosen));
  } catch {
    // it begins as usual the next time
  }
}

function openTheOneNamed() {
  const named = document.getElementById(location.hash.slice(1))?.querySelector("details.fold");
  if (named) named.open = true;
}

/** Fold and open the sections as this browser did the last time; a link to a section opens it, and paper has all. */
export function foldSections() {
  const chosen = chosenBefore();
  const folds = [...document.querySelectorAll("details.fold")];
  for (const one of folds) {
    const { id } = one.closest("section");
    one.open = chosen[id] ?? (!matchMedia(NARROW).matches || OPEN_ON_A_PHONE.includes(id));
    one.querySelector("summary").addEventListener("click", () => {
      chosen[id] = !one.open; // it changes after this
      keep(chosen);
    });
  }
  addEventListener("hashchange", openTheOneNamed);
  document.querySelector("nav").addEventListener("click", () => setTimeout(openTheOneNamed));
  addEventListener("beforeprint", () => { for (const one of folds) one.open = true; });
  openTheOneNamed();
}
