// How figures are called and shown: as the command line does.

export const FIGURES = {
  accuracy: { label: "accuracy", axis: "validation accuracy", kind: "share", better: 1 },
  test_accuracy: { label: "test accuracy", axis: "test accuracy", kind: "share", better: 1 },
  sparsity: { label: "sparsity", axis: "sparsity (weights at zero)", kind: "share", better: 1 },
  layer_sparsity: { label: "mean sparsity of layers", axis: "mean sparsity of the layers", kind: "share", better: 1 },
  macs_removed: { label: "MACs removed", axis: "MACs removed (of dense)", kind: "share", better: 1 },
  size_removed: { label: "size removed", axis: "size removed (of dense)", kind: "share", better: 1 },
  speedup: { label: "speedup", axis: "measured speedup (dense = 1x)", kind: "ratio", better: 1 },
  latency_ms: { label: "latency", axis: "latency of one batch (ms)", kind: "ms", better: -1 },
  macs: { label: "MACs", axis: "MACs of one example", kind: "count", better: -1 },
  macs_ideal: { label: "non-zero MACs", axis: "MACs that meet a non-zero weight", kind: "count", better: -1 },
  weights_left: { label: "weights left", axis: "non-zero weights left", kind: "count", better: -1 },
  size_bytes: { label: "size", axis: "size (bytes)", kind: "bytes", better: -1 },
};

const scaled = (value, unit) => {
  for (const [limit, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= 0.9995 * limit) return `${(value / limit).toFixed(Math.abs(value) < 99.95 * limit ? 1 : 0)} ${prefix}${unit}`;
  return `${value.toFixed(0)} ${unit}`.trim();
};

export function shown(figure, value) {
  if (value === null || value === undefined) return "–";
  switch (FIGURES[figure]?.kind) {
    case "share": return `${(100 * value).toFixed(2)} %`;
    case "ratio": return `${value.toFixed(2)}x`;
    case "ms": return `${value.toPrecision(3)} ms`;
    case "count": return scaled(value, "");
    case "bytes": return scaled(value, "B");
    default: return typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
  }
}

export const setting = row => Object.entries(row).filter(([key]) => key !== "method").map(([key, value]) => `${key} = ${shown("", value)}`);

export function since(ms) {
  const seconds = Math.max((Date.now() - ms) / 1000, 0);
  for (const [limit, unit, length] of [[120, "s", 1], [7200, "min", 60], [172800, "h", 3600], [Infinity, "days", 86400]])
    if (seconds < limit) return `${Math.round(seconds / length)} ${unit} ago`;
}
