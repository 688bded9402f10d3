// A sweep file, checked as one types, and begun.

import { ask, name } from "/assets/api.js";
import { button, choice, element, heading, labelled, link, paragraph, tell } from "/assets/dom.js";

const KEPT = "sparsweep-draft";
const WAIT_MS = 400;

export async function newSweep(page) {
  const presets = await ask("/presets");
  const like = new URLSearchParams(location.search).get("like");
  const text = element("textarea", { spellcheck: false, id: "sweep-file", "aria-describedby": "faults" });
  const faults = element("div", { id: "faults", role: "status", "aria-live": "polite" });
  const said = element("pre", { className: "said", hidden: true });
  const start = button("Start", begin), address = element("input", { placeholder: "http://head:8265", size: 24 });
  const undo = element("span");
  let timer, watching;

  text.value = like ? (await ask(`/sweeps/${name(like)}`)).text.replace(/^name: .*$/m, `name: ${like}-2`) : sessionStorage.getItem(KEPT) ?? presets[0].text;
  const check = async () => {
    sessionStorage.setItem(KEPT, text.value);
    const found = await ask("/check", { body: { text: text.value } });
    start.disabled = found.faults.length > 0 || !!found.conflict;
    faults.replaceChildren(found.conflict ? paragraph(found.conflict, "fault") : found.faults.length
      ? element("ul", {}, found.faults.map(fault => element("li", { className: "fault" }, fault.text)))
      : paragraph(`sweep ${found.name} has no fault`, "good"),
      found.exists && !found.conflict ? paragraph(`There is a sweep ${found.name} already: Start goes on with it if it searches for the same; for another search write another name.`, "soft") : "");
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => check().catch(fault => tell(fault.message, "fault")), WAIT_MS);
  };
  text.addEventListener("input", soon);

  async function begin() {
    try {
      const there = address.value.trim();
      const told = await ask(there ? "/submit" : "/sweeps", { body: there ? { text: text.value, address: there } : { text: text.value } });
      tell(`began: ${told.command}`);
      watch(told.sweep);
    } catch (fault) {
      faults.append(paragraph(fault.message, "fault"));
    }
  }

  function watch(sweep) {
    clearInterval(watching);
    watching = setInterval(async () => {
      const now = await ask(`/sweeps/${name(sweep)}/command`).catch(fault => ({ said: fault.message, state: "ended" }));
      said.hidden = false;
      said.textContent = now.said || "starting…";
      if (now.state === "running") {
        clearInterval(watching);
        dispatchEvent(new CustomEvent("go", { detail: `/sweeps/${name(sweep)}` }));
      }
      if (now.state === "ended") {
        clearInterval(watching);
        tell(now.code ? `the command ended with ${now.code}: what it said stands below` : "the command has ended", now.code ? "fault" : "");
      }
    }, 500);
  }

  const preset = choice([["", "a preset…"], ...presets.map(row => [row.preset, `${row.preset}: ${row.about}`])], "", chosen => {
    const row = presets.find(each => each.preset === chosen);
    if (!row) return;
    const before = text.value, typed = !presets.some(each => each.text === before);
    text.value = row.text;
    check();
    undo.replaceChildren(typed ? button("Back to what was typed", () => { text.value = before; undo.replaceChildren(); check(); }, { plain: true }) : "");
  });
  page.append(heading(1, "New sweep"), element("div", { className: "row" }, labelled("begin with", preset), undo), labelled("sweep file", text), faults,
    element("div", { className: "row" }, labelled("on a cluster's job server (empty: here)", address), start),
    said, element("p", {}, link("/sweeps", "all sweeps")));
  await check();
  return () => { clearTimeout(timer); clearInterval(watching); };
}
