// All sweeps, and one sweep: how far it is, what failed, stop and go on.

import { ask, name } from "/assets/api.js";
import { button, element, heading, labelled, link, paragraph, table, tell } from "/assets/dom.js";
import { shown, since } from "/assets/figures.js";
import { line } from "/assets/plots.js";

const EVERY_MS = 2000;

const progress = state => element("progress", {
  max: state.trials || 1, value: state.done + state.failed + state.stopped_early,
  "aria-label": `${state.done + state.failed + state.stopped_early} of ${state.trials} trials`,
});

const spent = state => Object.entries(state.spent ?? {}).filter(([key, value]) => value && key !== "trials")
  .map(([key, value]) => `${Number(value.toPrecision(3))} ${key.replace("_", " ")}`).join(", ");

function card(state) {
  return element("article", { className: "card" },
    element("h2", {}, link(`/sweeps/${name(state.sweep)}`, state.sweep)),
    element("p", {}, element("span", { className: `state ${state.state}` }, state.state),
            state.changed_ms ? ` ${since(state.changed_ms)}` : ""),
    state.fault ? paragraph(state.fault, "fault") : [
      progress(state),
      paragraph(`${state.done} of ${state.trials} done, ${state.failed} failed, ${state.running} at work`),
      paragraph(`best accuracy ${shown("accuracy", state.best_accuracy)}, hypervolume ${state.hypervolume?.toFixed(4) ?? "–"}`),
      spent(state) && paragraph(`spent ${spent(state)}`, "soft"),
      element("p", {}, link(`/sweeps/${name(state.sweep)}/frontier`, "frontier")),
    ]);
}

export async function sweeps(page) {
  const cards = element("div", { className: "cards" });
  const renew = async () => {
    const known = await ask("/sweeps");
    cards.replaceChildren(...(known.length ? known.map(card) : [element("p", {},
      "There is no sweep yet. ", link("/new", "Start one here"), ", or type ", element("code", {}, "sparsweep run digits"), ".")]));
  };
  await renew();
  page.append(heading(1, "Sweeps"), cards);
  const timer = setInterval(() => renew().catch(fault => tell(fault.message, "fault")), EVERY_MS);
  return () => clearInterval(timer);
}

export async function sweep(page, sweepName) {
  const facts = element("ul", { className: "facts" }), plot = element("div", { className: "plot small" });
  const actions = element("div", { className: "row" }), command = element("div"), failures = element("div");
  let last = "";

  async function renew() {
    const known = await ask(`/sweeps/${name(sweepName)}`);
    const text = JSON.stringify(known);
    if (text === last) return known;
    last = text;
    const fact = (label, value) => element("li", {}, `${label} `, element("b", {}, value));
    facts.replaceChildren(
      element("li", {}, element("span", { className: `state ${known.state}` }, known.state)),
      fact("done", `${known.done} of ${known.trials}`), fact("at work", String(known.running)),
      fact("stopped early", String(known.stopped_early)), fact("failed", String(known.failed)),
      fact("best accuracy", shown("accuracy", known.best_accuracy)),
      fact("hypervolume", known.hypervolume?.toFixed(4) ?? "–"),
      ...(spent(known) ? [fact("spent", spent(known))] : []), ...(known.ended ? [fact("ended:", known.ended)] : []));
    actions.replaceChildren(...buttons(known, renew, command));
    failures.replaceChildren(...(Object.keys(known.reasons).length ? [heading(2, "What failed"),
      table("reasons and how often", ["times", "reason"],
            Object.entries(known.reasons).map(([reason, count]) => [String(count), { text: reason, kind: "long" }]), { textual: [1] })] : []));
    const began = known.history[0]?.ended_ms ?? 0;
    line(plot, known.history.map(each => (each.ended_ms - began) / 60000), known.history.map(each => each.hypervolume),
         "minutes since the first trial ended", "hypervolume");
    return known;
  }

  page.append(heading(1, sweepName), facts, actions, command,
    element("p", {}, link(`/sweeps/${name(sweepName)}/frontier`, "Frontier"), " · ", link(`/new?like=${name(sweepName)}`, "a new sweep like this")),
    heading(2, "Hypervolume over time"), plot, failures, heading(2, "Sweep file"));
  const known = await renew();
  page.append(element("pre", {}, known.text), element("p", {}, link(`/models/${name(known.model)}`, `model ${known.model}`)));
  const timer = setInterval(() => renew().catch(fault => tell(fault.message, "fault")), EVERY_MS);
  return () => clearInterval(timer);
}

function buttons(known, renew, command) {
  const act = async (path, body) => {
    for (const each of document.querySelectorAll("main button")) each.disabled = true;
    try {
      const told = await ask(`/sweeps/${name(known.sweep)}/${path}`, { method: "POST", body });
      tell(told.said || `began: ${told.command}`);
      command.replaceChildren(told.command ? element("p", { className: "soft" }, `began: ${told.command}`) : "");
      await renew();
    } catch (fault) {
      tell(fault.message, "fault");
    }
    for (const each of document.querySelectorAll("main button")) each.disabled = false;
  };
  if (known.state === "running") return [button("Stop", () => act("stop"))];
  const trials = element("input", { type: "number", min: 1, value: known.trials, size: 8 });
  return [labelled("trials in all", trials), button("Go on", () => act("resume", { trials: Number(trials.value) }))];
}
