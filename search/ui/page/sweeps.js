// All sweeps, and one sweep: how far it is, what failed, stop and go on.

import { ask, name } from "/assets/api.js";
import { button, element, fresh, heading, labelled, link, paragraph, table, tell } from "/assets/dom.js";
import { shown, since } from "/assets/figures.js";
import { line } from "/assets/plots.js";

const EVERY_MS = 2000;

const progress = state => element("progress", {
  max: state.trials || 1, value: state.done + state.failed + state.stopped_early,
  "aria-label": `${state.done + state.failed + state.stopped_early} of ${state.trials} trials`,
});

const WORDS = { gpu_hours: hours => `${hours} GPU h`, cpu_hours: hours => `${hours} CPU h`, cost: cost => `cost ${cost}` };
const spent = state => Object.entries(state.spent ?? {}).filter(([key, value]) => value && key in WORDS)
  .map(([key, value]) => WORDS[key](Number(value.toPrecision(3)))).join(", ");

function phase(state) {
  if (state.state !== "running" || !state.phase) return "";
  const left = state.phase === "searching" && state.left_s ? `, about ${state.left_s < 100 ? `${Math.round(state.left_s)} s` : `${Math.round(state.left_s / 60)} min`} left` : "";
  return state.phase + left;
}

// Times since the first, in the unit that suits the last.
function elapsed(times) {
  const all = times.map(at => (at - times[0]) / 1000), last = all.at(-1) ?? 0;
  const [unit, length] = last < 120 ? ["seconds", 1] : last < 7200 ? ["minutes", 60] : ["hours", 3600];
  return { unit, values: all.map(each => each / length) };
}

function card(state) {
  return element("article", { className: "card" },
    element("h2", {}, link(`/sweeps/${name(state.sweep)}`, state.sweep)),
    element("p", {}, element("span", { className: `state ${state.state}` }, state.state),
            state.changed_ms ? ` ${since(state.changed_ms)}` : ""),
    state.fault ? paragraph(state.fault, "fault") : [
      progress(state),
      paragraph(`${state.done} of ${state.trials} done, ${state.failed} failed, ${state.running} at work`),
      phase(state) && paragraph(phase(state), "soft"),
      paragraph(`best accuracy ${shown("accuracy", state.best_accuracy)}, hypervolume ${state.hypervolume?.toFixed(4) ?? "–"}`),
      spent(state) && paragraph(`spent ${spent(state)}`, "soft"),
      element("p", {}, link(`/sweeps/${name(state.sweep)}/frontier`, "frontier")),
    ]);
}

export async function sweeps(page) {
  const cards = element("div", { className: "cards" });
  const renew = async () => {
    const known = await ask("/sweeps");
    fresh();
    cards.replaceChildren(...(known.length ? known.map(card) : [element("p", {},
      "There is no sweep yet. ", link("/new", "Start one here"), ", or type ", element("code", {}, "sparsweep run digits"), ".")]));
  };
  await renew();
  page.append(heading(1, "Sweeps"), cards);
  const timer = setInterval(() => renew().catch(fault => tell(`stale: ${fault.message}`, "fault")), EVERY_MS);
  return () => clearInterval(timer);
}

export async function sweep(page, sweepName) {
  const facts = element("ul", { className: "facts" }), plot = element("div", { className: "plot small" });
  const actions = element("div", { className: "row" }), bar = element("div"), command = element("div"), failures = element("div");
  let last = "", stopping = false;

  async function renew() {
    const known = await ask(`/sweeps/${name(sweepName)}`);
    fresh();
    const text = JSON.stringify(known);
    if (text === last) return known;
    last = text;
    const fact = (label, value) => element("li", {}, `${label} `, element("b", {}, value));
    facts.replaceChildren(
      element("li", {}, element("span", { className: `state ${known.state}` }, stopping && known.state === "running" ? "stopping" : known.state)),
      ...(phase(known) ? [element("li", {}, phase(known))] : []),
      fact("done", `${known.done} of ${known.trials}`), fact("at work", known.slots && known.state === "running" ? `${known.running} of ${known.slots}` : String(known.running)),
      fact("stopped early", String(known.stopped_early)), fact("failed", String(known.failed)),
      fact("best accuracy", shown("accuracy", known.best_accuracy)),
      fact("hypervolume", known.hypervolume?.toFixed(4) ?? "–"),
      ...(spent(known) ? [fact("spent", spent(known))] : []), ...(known.ended ? [fact("ended:", known.ended)] : []));
    stopping &&= known.state === "running";
    bar.replaceChildren(progress(known));
    actions.replaceChildren(...buttons(known, renew, command, stopping, () => { stopping = true; last = ""; }));
    failures.replaceChildren(...(Object.keys(known.reasons).length ? [heading(2, "What failed"),
      table("reasons, how often, and where to read more", ["times", "reason", "in a terminal"],
            Object.entries(known.reasons).map(([reason, count]) => [String(count), { text: reason, kind: "long" }, logs(known, reason)]), { textual: [1, 2] })] : []));
    if (known.history.length) {
      plot.querySelector("p")?.remove();
      const { unit, values } = elapsed(known.history.map(each => each.ended_ms));
      line(plot, values, known.history.map(each => each.hypervolume), `${unit} since the first trial ended`, "hypervolume");
    } else if (!plot.childElementCount) plot.append(paragraph("no trial has ended yet", "soft"));
    return known;
  }

  page.append(heading(1, sweepName), facts, bar, actions, command,
    element("p", {}, link(`/sweeps/${name(sweepName)}/frontier`, "Frontier"), " · ", link(`/new?like=${name(sweepName)}`, "a new sweep like this")),
    heading(2, "Hypervolume over time"), plot, failures, heading(2, "Sweep file"));
  const known = await renew();
  page.append(element("pre", {}, known.text), element("p", {}, link(`/models/${name(known.model)}`, `model ${known.model}`)));
  const timer = setInterval(() => renew().catch(fault => {
    if (fault.status === 404) actions.replaceChildren();  // it is gone: nothing is left to stop or to go on with
    tell(`stale: ${fault.message}`, "fault");
  }), EVERY_MS);
  return () => clearInterval(timer);
}

function logs(known, reason) {
  const first = known.failures.find(each => each.reason === reason);
  return first ? element("code", {}, `sparsweep logs ${known.sweep}/${String(first.number).padStart(5, "0")}`) : "";
}

function buttons(known, renew, command, stopping, stop) {
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
  if (known.state === "running") return [button(stopping ? "Stopping…" : "Stop", () => { stop(); act("stop"); }, { disabled: stopping })];
  const trials = element("input", { type: "number", min: 1, value: known.trials, size: 8 });
  return [labelled("trials in all", trials), button("Go on", () => {
    const count = Number(trials.value);
    if (!Number.isInteger(count) || count < 1) return tell("trials in all: write a whole number from 1 on", "fault");
    act("resume", { trials: count });
  })];
}
