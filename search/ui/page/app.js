// Which view an address shows. Every view has its own address; nothing is loaded from elsewhere.

import { element, heading, paragraph, link, tell } from "/assets/dom.js";
import { sweeps, sweep } from "/assets/sweeps.js";
import { frontier } from "/assets/frontier.js";
import { models, model } from "/assets/models.js";
import { newSweep } from "/assets/starting.js";

const VIEWS = [
  [/^\/(?:sweeps)?$/, sweeps],
  [/^\/sweeps\/([^/]+)$/, sweep],
  [/^\/sweeps\/([^/]+)\/frontier$/, frontier],
  [/^\/models$/, models],
  [/^\/models\/([^/]+)$/, model],
  [/^\/new$/, newSweep],
];

let leave = () => {};

export async function show() {
  leave();
  leave = () => {};
  tell("");
  const path = decodeURI(location.pathname).replace(/(.)\/$/, "$1");
  const main = document.getElementById("main");
  main.replaceChildren(paragraph("loading…", "soft"));
  for (const each of document.querySelectorAll("nav a")) {
    if (path.startsWith(each.getAttribute("href"))) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  const [pattern, view] = VIEWS.find(([known]) => known.test(path)) ?? [];
  try {
    if (!view) throw new Error(`there is no view at ${path}`);
    const page = element("div");
    leave = (await view(page, ...pattern.exec(path).slice(1).map(decodeURIComponent))) ?? leave;
    main.replaceChildren(page);
    page.dispatchEvent(new Event("shown"));
  } catch (fault) {
    main.replaceChildren(heading(1, "This cannot be shown"), paragraph(fault.message, "fault"), link("/sweeps", "all sweeps"));
  }
  document.title = `${main.querySelector("h1")?.textContent ?? "sparsweep"} – sparsweep`;
}

// Links within the page change the view without loading it anew.
document.addEventListener("click", event => {
  const target = event.target.closest?.("a[href^='/']");
  if (!target || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || target.target) return;
  event.preventDefault();
  go(target.getAttribute("href"));
});
addEventListener("popstate", show);

export function go(address) {
  if (address !== location.pathname + location.search) history.pushState(null, "", address);
  show().then(() => document.getElementById("main").focus({ preventScroll: true }));
}
addEventListener("go", event => go(event.detail));
show();
