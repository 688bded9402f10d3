// Registered models: wishes by sliders or words, the pick with its reason, aliases, exports.

import { ask, name } from "/assets/api.js";
import { button, choice, copy, element, heading, labelled, link, paragraph, table, tell } from "/assets/dom.js";
import { FIGURES, since, shown } from "/assets/figures.js";
import { latencies, pointView } from "/assets/point.js";

const SLIDERS = [["accuracy", ">="], ["sparsity", ">="], ["speedup", ">="], ["size_bytes", "<="]];
const BESTS = ["knee", "accuracy", "sparsity", "speedup", "size_bytes", "macs"];
const OWN = ["most-accurate", "sparsest", "fastest", "knee"];  // aliases that sweeps set
const FORMATS = ["safetensors", "pt2", "onnx", "all"];

// A version's figure as a bound of five digits that the version itself keeps to.
export function bound(value, op) {
  const unit = value ? 10 ** (Math.floor(Math.log10(Math.abs(value))) - 4) : 1;
  return Number(((op === ">=" ? Math.floor(value / unit * (1 + 1e-12)) : Math.ceil(value / unit * (1 - 1e-12))) * unit).toPrecision(5));
}

export async function models(page) {
  const names = await ask("/models");
  page.append(heading(1, "Models"), names.length
    ? element("ul", {}, names.map(each => element("li", {}, link(`/models/${name(each)}`, each))))
    : element("p", {}, "No model is registered yet: a sweep registers its frontier when it ends. ", link("/new", "Start one")));
}

export async function model(page, modelName) {
  const given = new URLSearchParams(location.search);
  const wish = { where: given.getAll("where"), best: given.get("best") ?? "knee", device: given.get("device") || null };
  const read = () => ask(`/models/${name(modelName)}${wish.device ? `?device=${name(wish.device)}` : ""}`);
  let known = await read();
  const words = element("input", { value: wish.where.join(" and "), size: 34, placeholder: "accuracy >= 0.985 and size_bytes <= 20000",
    onchange: event => { wish.where = event.target.value.split(/\s+and\s+|;/).map(each => each.trim()).filter(Boolean); sliders.replaceChildren(...SLIDERS.map(slider).filter(Boolean)); pick(); } });
  const sliders = element("div", { className: "row" });
  const answer = element("section", { "aria-live": "polite" }), versions = element("div"), history_ = element("div"), one = element("div");

  function slider([figure, op]) {
    const values = known.versions.map(version => version.figures[figure]).filter(value => value !== undefined && value !== null);
    const bounds = [...new Set(values.map(value => bound(value, op)))].sort((one, other) => one - other);
    if (bounds.length < 2) return null;
    const loose = op === ">=" ? 0 : bounds.length - 1, said = at => (at === loose ? "any" : shown(figure, bounds[at]));
    const rule = wish.where.map(each => each.split(" ")).find(([of, by, value]) => of === figure && by === op && Number.isFinite(Number(value)));
    const asked = rule ? Number(rule[2]) : null, within = each => (op === ">=" ? each >= asked : each <= asked);
    const first = asked === null || !bounds.some(within) ? loose : op === ">=" ? bounds.findIndex(within) : bounds.findLastIndex(within);
    const text = asked === null ? "any" : shown(figure, asked), told = element("output", {}, asked === null ? "any" : `${op} ${text}`);
    const control = element("input", { type: "range", min: 0, max: bounds.length - 1, step: 1, value: first, "aria-label": `${FIGURES[figure].label} ${op === ">=" ? "at least" : "at most"}`, "aria-valuetext": text, oninput: event => {
      const at = Number(event.target.value);
      told.textContent = at === loose ? "any" : `${op} ${said(at)}`;
      event.target.setAttribute("aria-valuetext", said(at));
      wish.where = wish.where.filter(rule => !rule.startsWith(`${figure} `));
      if (at !== loose) wish.where.push(`${figure} ${op} ${bounds[at]}`);
      words.value = wish.where.join(" and ");
      pick();
    } });
    return labelled(element("span", {}, `${FIGURES[figure].label} `, told), control);
  }

  let asked = 0, picked;
  async function pick() {
    const turn = ++asked;
    const query = new URLSearchParams([...wish.where.map(rule => ["where", rule]), ["best", wish.best], ...(wish.device ? [["device", wish.device]] : [])]);
    history.replaceState(null, "", `${location.pathname}?${query}`);
    try {
      const found = await ask(`/models/${name(modelName)}/pick`, { body: wish });
      if (turn !== asked) return;
      answer.replaceChildren(...told(found));
      picked = found.version?.version;
      list();
    } catch (fault) {
      if (turn === asked) answer.replaceChildren(paragraph(fault.message, "fault"));
    }
  }

  function told(found) {
    const command = element("p", { className: "soft" }, "the same in a terminal: ", element("code", {}, found.command), " ", button("copy", () => copy(found.command, "the command"), { plain: true }));
    if (!found.version) return [paragraph(found.reason, "fault"), element("ul", {}, found.misses.map(miss => element("li", {}, miss.text))), command];
    const { version } = found;
    const figures = ["accuracy", "test_accuracy", "sparsity", "macs", "speedup", "size_bytes"].filter(figure => version.figures[figure] !== undefined);
    return [heading(2, `Picked: version ${version.version}`), paragraph(found.reason), paragraph(found.next_best, "soft"),
      element("ul", { className: "facts" }, figures.map(figure => element("li", {}, `${FIGURES[figure].label} `, element("b", {}, shown(figure, version.figures[figure]))))),
      actions(version, found), command, ...(version.latency.length ? [latencies(version.latency)] : [])];
  }

  function actions(version, found) {
    const alias = element("input", { placeholder: "champion", size: 10, "aria-label": "alias" });
    const form = choice(FORMATS.map(each => [each, each]), "safetensors", () => {}, { "aria-label": "format" });
    return element("div", { className: "row" },
      alias, button("Set alias", () => name_(alias.value.trim(), version.version), { plain: true }),
      form, button("Export", event => export_(event.target, version.version, form.value), { plain: true }),
      button("Copy loading snippet", () => copy(found.snippet, "the snippet"), { plain: true }),
      version.point && button("Layers and learning curve", () => layers(version.point), { plain: true }));
  }

  async function name_(alias, version) {
    if (!/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(alias))
      return tell(alias ? `${alias} cannot be an alias: begin with a letter, go on with letters, digits, - and _` : "write the alias first", "fault");
    try {
      await ask(`/models/${name(modelName)}/aliases/${name(alias)}`, { method: "PUT", body: { version } });
      known = await read();
      tell(`${alias} names version ${version}${OWN.includes(alias) ? " until the next sweep of this model sets it anew" : ""}`);
      list();
    } catch (fault) {
      tell(fault.message, "fault");
    }
  }

  async function export_(control, version, format) {
    control.disabled = true;
    tell("exporting: each format is opened in a fresh process, which takes some seconds");
    try {
      const packed = await ask(`/models/${name(modelName)}/versions/${version}/export`, { body: { format } });
      const address = URL.createObjectURL(packed);
      element("a", { href: address, download: `${modelName}-${version}.zip` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      tell(`exported version ${version}`);
    } catch (fault) {
      tell(fault.message, "fault");
    }
    control.disabled = false;
  }

  async function on(device) {
    wish.device = device || null;
    try {
      known = await read();
      list();
      await pick();
    } catch (fault) {
      tell(fault.message, "fault");
    }
  }

  async function layers(point) {
    const parts = point.split("/");
    try {
      one.replaceChildren(...await pointView(parts.slice(0, -2).join("/"), Number(parts.at(-2)), parts.at(-1)));
    } catch (fault) {
      one.replaceChildren(paragraph(fault.message, "fault"));
    }
  }

  // The point that a version is, in its sweep's frontier.
  function from({ point }) {
    if (!point) return "–";
    const parts = point.split("/"), sweep = parts.slice(0, -2).join("/");
    return link(`/sweeps/${name(sweep)}/frontier?point=${parts.slice(-2).map(name).join("/")}`, point);
  }

  // The run's own page, where MLflow is a server; else its id.
  function run({ run_id: id }) {
    if (!id || !known.mlflow) return id ? id.slice(0, 8) : "–";
    return element("a", { href: `${known.mlflow.split("/#/")[0]}/#/runs/${id}`, target: "_blank", rel: "noreferrer" }, id.slice(0, 8));
  }

  function list() {
    const figures = ["accuracy", "test_accuracy", "sparsity", "macs", "speedup", "size_bytes"];
    versions.replaceChildren(table("versions on and off the frontier", ["version", "frontier", ...figures.map(figure => FIGURES[figure].label), "aliases", "point", "device", "run"],
      known.versions.map(each => [each.version, each.frontier ? "on" : "off", ...figures.map(figure => shown(figure, each.figures[figure])), each.aliases.join(", "), from(each), wish.device ?? each.device ?? "–", run(each)]),
      { textual: [1, 8, 9, 10, 11], chosen: known.versions.findIndex(each => each.version === picked) }));
    history_.replaceChildren(known.history.length
      ? table("which version an alias came to name", ["alias", "version", "when"], known.history.map(each => [each.alias, each.version, since(each.at_ms)]), { textual: [0] })
      : paragraph("no alias was set since history is kept", "soft"));
  }

  const inMlflow = known.mlflow ? element("p", {}, element("a", { href: known.mlflow, target: "_blank", rel: "noreferrer" }, "in MLflow"))
    : element("p", { className: "soft" }, "to see its runs in MLflow: ", element("code", {}, known.look), " ", button("copy", () => copy(known.look, "the command"), { plain: true, "aria-label": "copy the command for MLflow" }));
  list();
  sliders.append(...SLIDERS.map(slider).filter(Boolean));
  page.append(heading(1, `Model ${modelName}`), inMlflow,
    heading(2, "What do you wish?"), sliders, element("div", { className: "row" }, labelled("or typed", words),
      labelled("best in", choice(BESTS.map(each => [each, FIGURES[each]?.label ?? each]), wish.best, value => { wish.best = value; pick(); })),
      known.devices.length > 1 && labelled("measured on", choice([["", "the sweep's own device"], ...known.devices.map(each => [each, each])], wish.device ?? "", on))),
    answer, one, heading(2, "Versions"), versions, heading(2, "Aliases and their history"), history_);
  await pick();
}
