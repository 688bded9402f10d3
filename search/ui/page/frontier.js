// The trade-off itself: points, frontier, published points, filters; live while the sweep runs.

import { ask, name } from "/assets/api.js";
import { Cloud } from "/assets/cloud.js";
import { button, choice, element, heading, labelled, link, paragraph, table, tell } from "/assets/dom.js";
import { FIGURES, setting, shown } from "/assets/figures.js";
import { colour, layout, OPTIONS, plain, plotly } from "/assets/plots.js";
import { pointView } from "/assets/point.js";
import { Points } from "/assets/points.js";

const METHODS = {
  light: ["#0b5fa5", "#2b8a3e", "#862e9c", "#c2255c", "#087f8c", "#a67c00", "#5c677d"],
  dark: ["#6cb4f0", "#6fcf87", "#d3a4ea", "#ff8fb1", "#5fd3dc", "#e3c35c", "#b4bfcb"],
};
const tone = at => { const some = METHODS[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"]; return some[at % some.length]; };
const TICKS = { share: { tickformat: ".4~p" }, ratio: { ticksuffix: "x" }, count: { tickformat: "~s" }, bytes: { tickformat: "~s", ticksuffix: "B" }, ms: { ticksuffix: " ms" } };
const AFTER_MS = 100;  // what takes long begins so much later than the picture that was asked for
const UNITS = { bytes: "bytes", ms: "ms" };
const BRIGHT = [[0, "#5b7f95"], [0.5, "#4fc3b0"], [1, "#fde725"]];  // lines that can be seen on a dark ground
const REST = "#8a97a6";

export async function frontier(page, sweepName) {
  const given = new URLSearchParams(location.search);
  const points = new Points(sweepName), others = [], missing = [];
  const wanted = (given.get("with") ?? "").split(",").filter(each => each && each !== sweepName).map(each => new Points(each));
  const [detail] = await Promise.all([ask(`/sweeps/${name(sweepName)}`), points.load(),
    ...wanted.map(each => each.load().then(() => others.push(each), fault => missing.push(fault.message)))]);
  others.sort((one, other) => wanted.indexOf(one) - wanted.indexOf(other));
  const known = () => Object.keys(FIGURES).filter(figure => points.has(figure));
  const axes = Object.keys(detail.objectives).filter(figure => figure !== "accuracy" && points.has(figure));
  const asked = key => (given.get(key) in FIGURES ? given.get(key) : null);
  const usual = [...axes.filter(figure => figure === "speedup"), ...detail.axes, ...axes].find(figure => figure in FIGURES && points.share(figure) > 0.5);
  const chosen = {
    x: asked("x") ?? usual ?? "macs_removed", y: asked("y") ?? "accuracy", c: asked("c") ?? "method", all: given.get("all") === "1", point: given.get("point"), on: given.get("on"),
  };
  let devices = [], elsewhere = [];  // on which versions were measured; those of the device that is compared
  let filters = filtersOf(given.get("keep")), drawnCount = 0, parts = [], Plotly;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const plot = element("div", { className: "plot", role: "img", "aria-label": "points of the sweep; the table below tells the same" });
  const cloud = new Cloud(plot, ({ of, row }) => hover(of, row), ({ of, row }) => choose(of, row));
  const parallel = element("div", { className: "plot small" }), listed = element("div", { className: "listed" }), one = element("section", { className: "detail", tabIndex: 0, "aria-label": "the chosen point", "aria-live": "polite" });
  const letGo = button("Let go of the filter", () => { filters = {}; keep(); draw().then(coordinates); }, { plain: true, hidden: true });
  const timed = paragraph("", "soft"), headline = element("p", { className: "soft" }), controls = element("div", { className: "row" });

  const keep = () => {
    const query = new URLSearchParams(Object.entries({ ...chosen, all: chosen.all ? "1" : null, with: others.map(each => each.sweep).join(","), keep: textOf(filters) })
      .filter(([, value]) => value));
    history.replaceState(null, "", `${location.pathname}?${query}`);
  };
  const set = key => value => { chosen[key] = value; keep(); draw(); };

  function fill() {
    const options = known().map(figure => [figure, FIGURES[figure].label]);
    const all = element("input", { type: "checkbox", checked: chosen.all, onchange: event => set("all")(event.target.checked) });
    const sweeps = element("input", { value: others.map(each => each.sweep).join(", "), size: 18, placeholder: "other sweeps",
      list: "sweeps-there", onfocus: suggest, onchange: event => { keepWith(event.target.value); } });
    controls.replaceChildren(
      labelled("across", choice(options, chosen.x, set("x"))), labelled("up", choice(options, chosen.y, set("y"))),
      labelled("colour", choice([["method", "method"], ...options], chosen.c, set("c"))),
      labelled("compare with", sweeps),
      ...(devices.length > 1 ? [labelled("versions as measured on", choice([["", "their own device only"], ...devices.map(each => [each, each])], chosen.on ?? "", compareOn))] : []),
      labelled("all points in view", all, true));
  }

  // The sweep's registered versions with the figures of another device: one series more.
  async function compareOn(device) {
    chosen.on = device || null;
    keep();
    try {
      if (device && !devices.includes(device)) throw new Error(`no version of ${detail.model} was measured on ${device}: ${devices.length ? `there is ${devices.join(", ")}` : "none is registered"}`);
      elsewhere = device ? (await ask(`/models/${name(detail.model)}?device=${name(device)}`)).versions : [];
    } catch (fault) {
      elsewhere = [];
      tell(fault.message, "fault");
    }
    if (points.count) await draw();
  }

  async function findDevices() {
    devices = (await ask(`/models/${name(detail.model)}`).catch(() => ({ devices: [] }))).devices;  // none is registered yet
    if (devices.length > 1) fill();
    if (chosen.on) await compareOn(chosen.on);
  }

  function onDevice() {
    if (!elsewhere.length || ![chosen.x, chosen.y].some(figure => figure === "speedup" || figure === "latency_ms")) return [];
    const rows = new Map([...Array(points.count).keys()].map(row => [`${sweepName}/${points.id(row)}`, row]));
    const value = (version, figure) => version.figures[figure] ?? points.column(figure)[rows.get(version.point)];
    const there = elsewhere.filter(version => rows.has(version.point) && [chosen.x, chosen.y].every(figure => (value(version, figure) ?? null) !== null));
    const pairs = there.map(version => [value(version, chosen.x), value(version, chosen.y)]), base = colour("good");
    const steps = staircase(pairs, chosen.x, chosen.y), told = figures => ["speedup", "latency_ms"].filter(figure => figures[figure] !== undefined).map(figure => `${FIGURES[figure].label}: ${shown(figure, figures[figure])}`);
    return [{ type: "scatter", mode: "lines", x: steps.map(each => each[0]), y: steps.map(each => each[1]), hoverinfo: "skip", showlegend: false, line: { shape: "hv", color: base, width: 2, dash: "dash" } },
      { type: "scatter", mode: "markers", name: plain(`versions on ${chosen.on}`), x: pairs.map(each => each[0]), y: pairs.map(each => each[1]),
        marker: { color: base, size: 11, symbol: "square-open", line: { width: 2 } }, customdata: there.map(version => rows.get(version.point)), of: points, hoverinfo: "text",
        text: there.map(version => [`<b>version ${plain(version.version)} on ${plain(chosen.on)}</b>`, ...told(version.figures)].join("<br>")) }];
  }

  const suggestions = element("datalist", { id: "sweeps-there" });
  async function suggest() {
    const there = await ask("/sweeps").catch(() => []);
    suggestions.replaceChildren(...there.filter(each => each.sweep !== sweepName).map(each => new Option(each.sweep)));
  }

  function keepWith(text) {
    const query = new URLSearchParams(location.search);
    query.set("with", text.split(/[ ,]+/).filter(Boolean).join(","));
    dispatchEvent(new CustomEvent("go", { detail: `${location.pathname}?${query}` }));
  }

  const passes = (limits, row) => limits.every(([values, ranges]) => {
    const value = values[row];
    return value !== null && value !== undefined && ranges.some(([low, high]) => low <= value && value <= high);
  });

  // The rows that can be drawn: those of the frontier, and the rest.
  function split(of) {
    const xs = of.column(chosen.x), ys = of.column(chosen.y), front = [], rest = [];
    const limits = Object.entries(filters).map(([figure, ranges]) => [of.column(figure), ranges]);
    for (let row = 0; row < of.count; row++)
      if (xs[row] !== null && ys[row] !== null && passes(limits, row)) (of.front.has(row) ? front : rest).push(row);
    return { front, rest };
  }

  function behind(of, rest) {
    const xs = of.column(chosen.x), ys = of.column(chosen.y);
    return { colour: REST, xs: rest.map(row => xs[row]), ys: rest.map(row => ys[row]), mark: at => ({ of, row: rest[at] }) };
  }

  function traces(of, at, front) {
    const { x, y, c } = chosen;
    const own = at ? `${of.sweep}: ` : "", base = tone(at);
    const marks = (some, title, marker) => ({
      type: "scatter", mode: "markers", name: plain(title), x: some.map(row => of.column(x)[row]), y: some.map(row => of.column(y)[row]), marker,
      customdata: some, hoverinfo: "text", text: some.map(row => hover(of, row).map((line, first) => (first ? plain(line) : `<b>${plain(line)}</b>`)).join("<br>")), of,
    });
    const steps = staircase(front.map(row => [of.column(x)[row], of.column(y)[row]]), x, y);
    const found = at ? [] : [{ type: "scatter", mode: "markers", name: "dominated or not feasible", x: [null], y: [null], marker: { color: REST, opacity: 0.5, size: 6, symbol: "square" }, hoverinfo: "skip" }];
    found.push({ type: "scatter", mode: "lines", x: steps.map(each => each[0]), y: steps.map(each => each[1]), hoverinfo: "skip", showlegend: false,
                 line: { shape: "hv", color: base, width: 2, dash: at ? "dot" : "solid" } });
    if (y === "accuracy") found.push(bars(of, front, x));
    if (c === "method" && others.length) {
      found.push(marks(front, of.sweep, { color: base, size: 10, symbol: at ? "diamond" : "circle", line: { color: colour("ground"), width: 1 } }));
    } else if (c === "method") {
      for (const method of new Set(front.map(row => of.trial(row).method))) {
        const index = methodsSeen(method);
        found.push(marks(front.filter(row => of.trial(row).method === method), `${own}frontier, ${method}`,
          { color: tone(index), size: 10, symbol: at ? "diamond" : "circle", line: { color: colour("ground"), width: 1 } }));
      }
    } else {
      found.push(marks(front, `${own}frontier`, { color: front.map(row => of.column(c)[row]), colorscale: "Viridis", size: 11, showscale: at === 0,
        colorbar: { title: { text: FIGURES[c].label }, thickness: 12, ...TICKS[FIGURES[c].kind] }, symbol: at ? "diamond" : "circle", line: { color: colour("ground"), width: 1 } }));
    }
    return found;
  }

  const methods = [];
  const methodsSeen = method => (methods.includes(method) ? methods.indexOf(method) : methods.push(method) - 1);

  function bars(of, front, x) {
    const rows = front.filter(row => of.column("low")[row] !== null);
    return { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: colour("soft"), width: 1.5 },
             x: rows.flatMap(row => [of.column(x)[row], of.column(x)[row], null]), y: rows.flatMap(row => [of.column("low")[row], of.column("high")[row], null]) };
  }

  function published() {
    const up = chosen.y === "accuracy" ? "test_accuracy" : chosen.y;
    const rows = detail.published.filter(each => each[chosen.x] !== undefined && each[up] !== undefined);
    return { type: "scatter", mode: "markers", name: "published (test)", x: rows.map(each => each[chosen.x]), y: rows.map(each => each[up]), visible: rows.length > 0,
             marker: { symbol: "x", size: 8, color: colour("warn") }, hoverinfo: "text", text: rows.map(each => `${plain(each.method)}<br>${plain(each.source)}`) };
  }

  // Around the frontier, or around all points; better is always right and up.
  function axis(figure) {
    const { axis: title, kind, better } = FIGURES[figure], cuts = points.column("cut"), column = points.column(figure);
    const framed = chosen.all || !points.front.size ? [...column.keys()] : points.data.front.filter(row => cuts[row] !== "dense");
    let low = Infinity, high = -Infinity;
    for (const row of framed) if (column[row] !== null) { low = Math.min(low, column[row]); high = Math.max(high, column[row]); }
    if (low > high) [low, high] = [0, 1];
    const room = Math.max((chosen.all ? 0.04 : 0.15) * (high - low), 0.01 * Math.abs(high), 1e-9);
    return { title: { text: better > 0 ? title : `${title}, less is better` }, ...TICKS[kind], autorange: false, range: better > 0 ? [low - room, high + room] : [high + room, low - room] };
  }

  async function draw() {
    if (!Plotly) {
      sketch();
      await seen();
      Plotly = await plotly();
    }
    const dense = points.column("cut").map((cut, row) => (cut === "dense" ? points.column(chosen.y)[row] : null)).filter(value => value !== null);
    const best = dense.length && chosen.y === "accuracy" ? Math.max(...dense) : null;
    const marks = best === null ? {} : {
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: best, y1: best, line: { dash: "dash", width: 1, color: colour("soft") } }],
      annotations: [{ xref: "paper", x: 0, y: best, text: "dense", showarrow: false, xanchor: "left", yanchor: "bottom", font: { color: colour("soft") } }],
    };
    parts = [points, ...others].map(of => ({ of, ...split(of) }));
    const drawn = [...parts.flatMap(({ of, front }, at) => traces(of, at, front)), ...onDevice(), published(), ...ring()];
    cloud.put(parts.map(({ of, rest }) => behind(of, rest)));
    await Plotly.react(plot, drawn, layout({ xaxis: axis(chosen.x), yaxis: axis(chosen.y), uirevision: `${chosen.x} ${chosen.y} ${chosen.all}`, ...marks }), { ...OPTIONS, modeBarButtonsToRemove: [...OPTIONS.modeBarButtonsToRemove, "toImage"] });
    if (!plot.dataset.listens) {
      plot.dataset.listens = "yes";
      cloud.listen();
      plot.on("plotly_click", event => {
        const { customdata, data } = event.points[0];
        if (data.of) choose(data.of, customdata);
      });
    }
    cloud.paint();
    cloud.stage.dataset.shown = "yes";
    headline_();
    list();
    plot.dataset.drawn = String(points.data.version);
  }

  // What can be seen before plotly is there: the same points, frontier and table.
  function sketch() {
    parts = [{ of: points, ...split(points) }];
    const { x, y } = chosen, [{ front, rest }] = parts, pairs = front.map(row => [points.column(x)[row], points.column(y)[row]]);
    cloud.put([behind(points, rest)]);
    headline_();
    list();
    cloud.sketch({ figure: x, ...axis(x) }, { figure: y, ...axis(y) }, staircase(pairs, x, y).reverse(), pairs);
  }

  function headline_() {
    const filtered = Object.keys(filters).length > 0, [left] = parts, reached = of => `${of.front.size} of ${of.count} points on the frontier; hypervolume ${of.data.hypervolume.toFixed(4)}`;
    letGo.hidden = !filtered;
    headline.textContent = (filtered ? `${left.front.length + left.rest.length || "none"} of ${points.count} points pass the filter; ` : "") + `${reached(points)} (accuracy x ${detail.axes[0].replaceAll("_", " ")})`
      + others.map(of => `; ${of.sweep}: ${reached(of)}`).join("")
      + (Object.keys(points.data.damaged ?? {}).length ? `; ${Object.keys(points.data.damaged).length} records cannot be read` : "");
    timed.textContent = [chosen.x, chosen.y, chosen.c].some(figure => figure === "speedup" || figure === "latency_ms")
      ? [points, ...others].flatMap(each => [...each.data.timed, ...untimed(each)].map(text => (others.length ? `${each.sweep}: ${text}` : text))).join("; ") : "";
  }

  // Points of the frontier without a speedup where others have one: the sweep was stopped before, or the machine was too noisy.
  function untimed(of) {
    const left = of.has("speedup") ? [...of.front].filter(row => of.column("speedup")[row] === null && of.column("cut")[row] !== "dense").length : 0;
    return left ? [`${left} of the frontier without a timing that can be published: sparsweep resume ${of.sweep} times what was left out`] : [];
  }

  function list() {
    const figures = ["accuracy", "test_accuracy", "sparsity", "macs_removed", "speedup", "size_bytes"].filter(figure => points.has(figure));
    const rows = parts.flatMap(({ of, front }) => {
      const order = new Map(of.data.front.map((row, at) => [row, at]));
      return [...front].sort((one, other) => order.get(one) - order.get(other)).map(row => ({ of, row }));
    });
    const point = ({ of, row }) => (others.length ? `${of.sweep}/${of.id(row)}` : of.id(row)), top = listed.firstChild?.scrollTop ?? 0;
    listed.replaceChildren(table(`the frontier of ${parts.map(({ of }) => of.sweep).join(" and of ")}: Enter shows a point`, [...figures.map(figure => FIGURES[figure].label), "point", "method"],
      rows.map(each => [...figures.map(figure => shown(figure, each.of.column(figure)[each.row]) + band(each, figure)), point(each), each.of.trial(each.row).method]),
      { textual: [figures.length, figures.length + 1], choose: at => choose(rows[at].of, rows[at].row), chosen: rows.findIndex(({ of, row }) => address(of, row) === chosen.point) }));
    listed.firstChild.scrollTop = top;
  }

  const band = ({ of, row }, figure) => {
    const low = of.column("low")[row] ?? null;
    return figure === "accuracy" && low !== null ? ` ± ${(50 * (of.column("high")[row] - low)).toFixed(1)}` : "";
  };

  // A point as an address holds it: one of another sweep with the sweep's name before it.
  const address = (of, row) => (of === points ? of.id(row) : `${of.sweep}/${of.id(row)}`);

  async function choose(of, row) {
    chosen.point = address(of, row);
    keep();
    const typing = listed.contains(document.activeElement);
    await draw();
    if (typing) listed.querySelector("tr.chosen")?.focus();
    await view(of.sweep, of.column("trial")[row], of.column("cut")[row]);
    if (page.clientWidth < 960 && !typing) one.scrollIntoView({ block: "nearest" });
  }

  // A ring around the point that is looked at.
  function ring() {
    for (const of of [points, ...others])
      for (let row = 0; chosen.point && row < of.count; row++)
        if (address(of, row) === chosen.point)
          return [{ type: "scatter", mode: "markers", x: [of.column(chosen.x)[row]], y: [of.column(chosen.y)[row]], hoverinfo: "skip", showlegend: false,
                    marker: { symbol: "circle-open", size: 19, color: colour("ink"), line: { width: 2.5 } } }];
    return [];
  }

  async function view(sweep, trial, cut) {
    one.replaceChildren(paragraph("loading the point…", "soft"));
    try {
      one.replaceChildren(...await pointView(sweep, trial, cut));
    } catch (fault) {
      one.replaceChildren(paragraph(fault.message, "fault"));
    }
  }

  async function coordinates() {
    Plotly ??= await plotly();
    const varied = known().filter(figure => new Set(points.column(figure)).size > 1);
    const figures = page.clientWidth < 600 ? [...new Set(["accuracy", ...axes, ...varied])].filter(figure => varied.includes(figure)).slice(0, 4) : varied;
    if (!webgl() || !figures.length) return parallel.replaceChildren(paragraph("parallel coordinates need WebGL, which this browser lacks", "soft"));
    const rows = points.data.front.length > 1 ? [...points.front] : [...Array(points.count).keys()];
    drawnCount = points.count;
    await Plotly.react(parallel, [{
      type: "parcoords", labelfont: { color: colour("ink") }, tickfont: { color: colour("ink") }, rangefont: { color: colour("soft") }, line: { color: rows.map(row => points.column("accuracy")[row]), colorscale: dark.matches ? BRIGHT : "Viridis", reversescale: !dark.matches },
      dimensions: figures.map(figure => ({ label: UNITS[FIGURES[figure].kind] ? `${FIGURES[figure].label} (${UNITS[FIGURES[figure].kind]})` : FIGURES[figure].label, constraintrange: filters[figure], tickformat: TICKS[FIGURES[figure].kind].tickformat, values: rows.map(row => points.column(figure)[row] ?? NaN) })),
    }], layout({ margin: { t: 40, r: 40, b: 20, l: 50 } }), OPTIONS);
    parallel.removeAllListeners?.("plotly_restyle");
    parallel.on("plotly_restyle", () => {
      filters = {};
      parallel.data[0].dimensions.forEach((dimension, at) => {
        const range = dimension.constraintrange;
        if (range?.length) filters[figures[at]] = Array.isArray(range[0]) ? range : [range];
      });
      const began = performance.now();
      keep();
      draw().then(() => requestAnimationFrame(() => performance.measure("filter", { start: began })));
    });
  }

  points.changed = async () => {
    fill();
    await draw();
    // what is being dragged is left alone; the axes take in what has come since
    if (inView && points.count > 1.05 * drawnCount && !parallel.matches(":hover")) await coordinates();
  };
  // The axes to filter by take longer to draw than the frontier: they wait until one scrolls to them.
  let inView = false;
  const sight = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting) || inView || !points.count) return;
    inView = true;
    setTimeout(coordinates, AFTER_MS);
  }, { rootMargin: "100px" });
  points.said = (text, state) => { tell(text, text ? "fault" : ""); if (state) page.dataset.state = state.state; };
  page.append(heading(1, `Frontier of ${sweepName}`), element("p", {}, link(`/sweeps/${name(sweepName)}`, "the sweep"), " · ", link(`/models/${name(detail.model)}`, `pick from model ${detail.model}`)),
    headline, controls, ...missing.map(text => paragraph(text, "fault")), timed, element("div", { className: "two" }, cloud.stage, one), heading(2, "Points of the frontier"), listed, heading(2, "Filter"), paragraph("Drag along an axis to keep what lies there, in every sweep shown; click it to let go. Lines are points of the frontier, coloured by accuracy.", "soft"), letGo, suggestions, parallel);
  one.append(paragraph("Choose a point, in the picture or in the table below, to see its layers, latencies and learning curve.", "soft"));
  if (!points.count) headline.textContent = "no trial has ended yet: points appear here as they do";
  fill();
  page.addEventListener("shown", async () => {
    await draw();
    sight.observe(parallel);
    findDevices();
    if (chosen.point) {
      const words = chosen.point.split("/"), [trial, cut] = words.slice(-2);
      await view(words.slice(0, -2).join("/") || sweepName, Number(trial), cut);
    }
  }, { once: true });
  const ends = [points.follow()];
  dark.addEventListener("change", draw);
  return () => { cloud.leave(); sight.disconnect(); ends.forEach(end => end()); dark.removeEventListener("change", draw); };

  function hover(of, row) {
    const lines = ["accuracy", "test_accuracy", "sparsity", "macs_removed", "speedup", "size_bytes"].filter(figure => of.column(figure)[row] !== null)
      .map(figure => `${FIGURES[figure].label}: ${shown(figure, of.column(figure)[row])}`);
    return [`${of.trial(row).method} ${of.id(row)}`, ...lines, ...setting(of.trial(row).setting)];
  }
}

// When what was drawn has come to the screen.
const seen = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));

// Ranges of figures as an address holds them: `accuracy:0.9~1,sparsity:0.5~0.7`.
function textOf(filters) {
  const short = value => Number(value.toPrecision(6));
  return Object.entries(filters).flatMap(([figure, ranges]) => ranges.map(([low, high]) => `${figure}:${short(low)}~${short(high)}`)).join(",");
}

function filtersOf(text) {
  const found = {};
  for (const [, figure, low, high] of (text ?? "").matchAll(/(\w+):([-\d.e]+)~([-\d.e]+)/g))
    if (figure in FIGURES && Number(low) <= Number(high)) (found[figure] ??= []).push([Number(low), Number(high)]);
  return found;
}

let canDraw;
function webgl() {
  canDraw ??= !!document.createElement("canvas").getContext("webgl2") || !!document.createElement("canvas").getContext("webgl");
  return canDraw;
}

// The points that none dominates in the two axes shown, from the best across to the best up.
export function staircase(pairs, x, y) {
  const key = ([a, b]) => [FIGURES[x].better * a, FIGURES[y].better * b];
  const ordered = pairs.slice().sort((one, other) => key(other)[0] - key(one)[0] || key(other)[1] - key(one)[1]);
  let best = -Infinity;
  return ordered.filter(pair => key(pair)[1] > best && ((best = key(pair)[1]), true));
}
