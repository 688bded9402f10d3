// One point: its figures, what is left of each layer, its latencies, its learning curve.

import { ask, name } from "/assets/api.js";
import { element, heading, table } from "/assets/dom.js";
import { FIGURES, setting, shown } from "/assets/figures.js";
import { line } from "/assets/plots.js";

export async function pointView(sweep, trial, cut) {
  const { id, point, layers, epochs, command } = await ask(`/sweeps/${name(sweep)}/points/${trial}/${name(cut)}`);
  const told = { ...point, macs_removed: 1 - point.macs / point.dense_macs };
  const facts = Object.keys(FIGURES).filter(figure => told[figure] !== undefined && told[figure] !== null)
    .map(figure => element("li", {}, `${FIGURES[figure].label} `, element("b", {}, shown(figure, told[figure]))));
  const curve = element("div", { className: "plot small" });
  const found = [heading(2, `Point ${id}`), element("ul", { className: "facts" }, facts),
    element("p", { className: "soft" }, `${point.method}: ${setting(point.setting).join(", ")}`)];
  if (layers.length) found.push(heading(3, "What is left"), widths(layers));
  if (point.latency.length) found.push(heading(3, "Latency"), latencies(point.latency));
  if (epochs.length) {
    found.push(heading(3, "Learning curve"), curve);
    // when it lies in the page, so that it knows how wide it may be
    setTimeout(() => line(curve, epochs.map(epoch => epoch.step), epochs.map(epoch => epoch.accuracy), "epochs of training and fine-tuning", "validation accuracy"));
  }
  found.push(element("p", { className: "soft" }, "in a terminal: ", element("code", {}, command)));
  return found;
}

export function widths(layers) {
  const most = Math.max(...layers.map(layer => layer.dense_macs), 1), total = layers.reduce((sum, layer) => sum + layer.macs, 0) || 1;
  const bar = layer => element("span", { role: "img", "aria-label": `${shown("share", layer.macs / total)} of the MACs`, title: `${shown("macs", layer.macs)} of ${shown("macs", layer.dense_macs)}` },
    element("span", { className: "bar", style: `width:${6 * layer.macs / most}rem` }), element("span", { className: "bar rest", style: `width:${6 * (layer.dense_macs - layer.macs) / most}rem` }));
  return table("units of each layer before and after, and its MACs", ["layer", "outputs", "inputs of one", "MACs", "share", ""],
    layers.map(layer => [layer.name, `${layer.outputs} of ${layer.dense_outputs}`, `${layer.inputs} of ${layer.dense_inputs}`,
      shown("macs", layer.macs), `${(100 * layer.macs / total).toFixed(1)} %`, bar(layer)]), { textual: [0] });
}

export function latencies(records) {
  return table("timed beside the dense network", ["device", "runtime", "batch", "threads", "latency", "dense", "speedup", "spread"],
    records.map(each => [each.device, each.runtime === each.dense_runtime ? each.runtime : `${each.runtime}, dense ${each.dense_runtime}`, String(each.batch), String(each.threads),
      shown("latency_ms", each.latency_ms), shown("latency_ms", each.dense_latency_ms), shown("speedup", each.speedup), `${(100 * each.iqr_share).toFixed(1)} %`]), { textual: [0, 1] });
}
