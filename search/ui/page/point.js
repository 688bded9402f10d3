// One point: its figures, what is left of each layer, its latencies, its learning curve.

import { ask, name } from "/assets/api.js";
import { element, heading, table } from "/assets/dom.js";
import { FIGURES, setting, shown } from "/assets/figures.js";
import { colour, layout, OPTIONS, plotly } from "/assets/plots.js";

export async function pointView(sweep, trial, cut) {
  const { id, point, figures, layers, epochs, command } = await ask(`/sweeps/${name(sweep)}/points/${trial}/${name(cut)}`);
  const facts = Object.keys(FIGURES).filter(figure => figures[figure] !== undefined)
    .map(figure => element("li", {}, `${FIGURES[figure].label} `, element("b", {}, shown(figure, figures[figure]))));
  const curve = element("div", { className: "plot small" });
  const found = [heading(2, `Point ${sweep}/${id}`), element("ul", { className: "facts" }, facts),
    element("p", { className: "soft" }, `${point.method}: ${setting(point.setting).join(", ")}`)];
  if (layers.length) found.push(heading(3, "What is left"), widths(layers));
  if (point.latency.length) found.push(heading(3, "Latency"), latencies(point.latency));
  if (epochs.length) {
    found.push(heading(3, "Learning curve of the whole trial"), curve);
    // when it lies in the page, so that it knows how wide it may be
    setTimeout(() => learning(curve, epochs, point));
  }
  found.push(element("p", { className: "soft" }, "in a terminal: ", element("code", {}, command)));
  return found;
}

// The trial trains, then cuts and fine-tunes in turns; the point's own accuracy is a line across.
async function learning(where, epochs, point) {
  const Plotly = await plotly();
  const part = (phase, title, tone) => {
    const own = epochs.filter(epoch => epoch.phase === phase);
    return { name: title, x: own.map(epoch => epoch.step), y: own.map(epoch => epoch.accuracy), mode: "lines+markers", line: { color: tone }, marker: { size: 4 }, visible: own.length > 0 };
  };
  const y = point.accuracy, marks = {
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { dash: "dash", width: 1, color: colour("soft") } }],
    annotations: [{ xref: "paper", x: 0, y, text: "this point", showarrow: false, xanchor: "left", yanchor: "bottom", font: { color: colour("soft") } }],
  };
  return Plotly.react(where, [part("train", "training", colour("accent")), part("finetune", "fine-tuning after each cut", colour("warn"))],
    layout({ xaxis: { title: { text: "epochs" } }, yaxis: { title: { text: "validation accuracy" }, tickformat: ".4~p" }, ...marks }), OPTIONS);
}

export function widths(layers) {
  const most = Math.max(...layers.map(layer => layer.dense_macs), 1), total = layers.reduce((sum, layer) => sum + layer.macs, 0) || 1;
  const bar = layer => element("span", { role: "img", "aria-label": `${shown("share", layer.macs / total)} of the MACs`, title: `${shown("macs", layer.macs)} of ${shown("macs", layer.dense_macs)}` },
    element("span", { className: "bar", style: `width:${4 * layer.macs / most}rem` }), element("span", { className: "bar rest", style: `width:${4 * (layer.dense_macs - layer.macs) / most}rem` }));
  return table("units of each layer before and after, and its MACs", ["layer", "outputs", "inputs", "MACs", "share", ""],
    layers.map(layer => [layer.name, `${layer.outputs} of ${layer.dense_outputs}`, `${layer.inputs} of ${layer.dense_inputs}`,
      shown("macs", layer.macs), `${(100 * layer.macs / total).toFixed(1)} %`, bar(layer)]), { textual: [0] });
}

export function latencies(records) {
  const runtime = each => (each.runtime === each.dense_runtime ? each.runtime : `${each.runtime}, dense ${each.dense_runtime}`);
  const device = (each, at) => (at && records[at - 1].device === each.device ? "" : each.device);
  return table("timed beside the dense network", ["speedup", "latency", "dense", "spread", "batch", "runtime, threads", "device"],
    records.map((each, at) => [shown("speedup", each.speedup), shown("latency_ms", each.latency_ms), shown("latency_ms", each.dense_latency_ms), `${(100 * each.iqr_share).toFixed(1)} %`,
      String(each.batch), `${runtime(each)}, ${each.threads}`, { text: device(each, at), kind: "long" }]), { textual: [5, 6] });
}
