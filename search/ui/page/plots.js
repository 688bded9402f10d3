// Pictures by plotly, in the page's colours.

// Plotly, loaded once; see early.js.
export const plotly = () => window.plotlyLoaded();

export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function layout(more = {}) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  const { xaxis, yaxis, ...rest } = more;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), family: "system-ui, sans-serif" },
    margin: { t: 16, r: 16, b: 48, l: 60 }, hovermode: "closest", legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    hoverlabel: { align: "left" }, xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

export const OPTIONS = { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };

export async function line(where, x, y, across, up) {
  const Plotly = await plotly();
  const trace = { x, y, mode: "lines+markers", line: { shape: "hv", color: colour("accent") }, marker: { size: 4 } };
  return Plotly.react(where, [trace], layout({ xaxis: { title: { text: across } }, yaxis: { title: { text: up } } }), OPTIONS);
}

// plotly reads hover texts and names as markup.
export const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
