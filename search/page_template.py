"""The page that `search.page` fills: markers are HTML comments, which no escaped text can contain."""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title><!--SWEEP--> &ndash; <!--KIND--></title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2933; background: #fff; max-width: 1180px;
       margin: 1.6rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.45rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 0; overflow-wrap: anywhere; }
p { color: #52606d; margin: .25rem 0; overflow-wrap: anywhere; }
.axes { margin: 1rem 0 0; display: flex; gap: 1.4rem; flex-wrap: wrap; align-items: center; }
select { font: inherit; padding: .2rem .4rem; margin-left: .4rem; }
#plot { height: min(560px, 75vh); }
.figure { min-height: 420px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: .6rem; }
th { text-align: right; font-weight: 600; border-bottom: 2px solid #9aa5b1; padding: .3rem .6rem; white-space: nowrap; }
td { text-align: right; border-bottom: 1px solid #e4e7eb; padding: .3rem .6rem; white-space: nowrap; }
th.text, td.text { text-align: left; }
td.setting { white-space: normal; min-width: 16rem; color: #52606d; font-size: .87em; overflow-wrap: anywhere; }
tr.knee td { background: #fff4e6; font-weight: 600; }
tbody tr:hover td { background: #e7f1fa; }
</style>
</head>
<body>
<h1><!--SWEEP-->: <!--KIND--></h1>
<p><!--HEADLINE--></p>
<p><!--CONDITIONS--></p>
<div class="axes">
<label>across<select id="x"></select></label>
<label>up<select id="y"></select></label>
<label><input type="checkbox" id="all"> every point, not only the frontier's neighbourhood</label>
</div>
<div id="plot"></div>
<div class="wide"><table>
<!--TABLE-->
</table></div>
<!--SECTIONS-->
<script type="application/json" id="data"><!--DATA--></script>
<script type="application/json" id="figures"><!--FIGURES--></script>
<script><!--PLOTLY--></script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const box = id => document.getElementById(id);
const colours = ["#0b5fa5", "#2b8a3e", "#862e9c", "#c2255c", "#087f8c", "#a67c00", "#5c677d"];
const ticks = { share: { tickformat: ".4~p" }, ratio: { ticksuffix: "x" }, count: { tickformat: "~s" },
                bytes: { tickformat: "~s", ticksuffix: "B" }, ms: { ticksuffix: " ms" } };

function fill(id, names, chosen) {
  for (const name of names) box(id).add(new Option(data.axes[name].label, name, false, name === chosen));
  box(id).onchange = draw;
}

function values(points, name) { return points.map(point => point.figures[name]); }

function cloud(points, x, y, name, marker) {
  return { type: "scatter", mode: "markers", name: name, x: values(points, x), y: values(points, y), marker: marker,
           text: points.map(point => point.text), hoverinfo: "text", hoverlabel: { align: "left" } };
}

// The points that none dominates in the two axes shown, from the best across to the best up.
function staircase(points, x, y) {
  const turn = (name, value) => data.axes[name].better === "max" ? value : -value;
  const key = point => [turn(x, point.figures[x]), turn(y, point.figures[y])];
  const ordered = points.slice().sort((a, b) => key(b)[0] - key(a)[0] || key(b)[1] - key(a)[1]);
  let best = -Infinity;
  return ordered.filter(point => key(point)[1] > best && ((best = key(point)[1]), true));
}

// Less is to the right; the frontier is framed with some room.
function axis(name, front) {
  const { axis, kind, better } = data.axes[name];
  const seen = values(front, name), low = Math.min(...seen), high = Math.max(...seen);
  const room = Math.max(0.15 * (high - low), 0.01 * Math.abs(high), 1e-9);
  const framed = [low - room, high + room];
  const range = box("all").checked || !seen.length ? { autorange: better === "max" ? true : "reversed" }
    : { autorange: false, range: better === "max" ? framed : framed.reverse() };
  return { title: { text: axis }, gridcolor: "#e4e7eb", zeroline: false, automargin: true, ...ticks[kind], ...range };
}

// Mean accuracy over seeds, less and plus one standard deviation, beside the point's own.
function bands(points, x, y) {
  const known = y === "accuracy" ? points.filter(point => point.band) : [];
  return { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: "#52606d", width: 1.5 },
           x: known.flatMap(point => [point.figures[x], point.figures[x], null]),
           y: known.flatMap(point => [...point.band, null]) };
}

function draw() {
  const x = box("x").value, y = box("y").value;
  const there = data.points.filter(point => x in point.figures && y in point.figures);
  const front = there.filter(point => point.front), rest = there.filter(point => !point.front);
  const steps = staircase(front, x, y), knee = front.filter(point => point.knee);
  const traces = [
    cloud(rest, x, y, "dominated or not feasible", { color: "#8a97a6", opacity: 0.4, size: 5 }),
    { type: "scatter", mode: "lines", x: values(steps, x), y: values(steps, y), hoverinfo: "skip", showlegend: false,
      line: { shape: "hv", color: "#0b5fa5", width: 2 }, opacity: 0.7 },
    bands(front, x, y),
    ...data.methods.map((method, at) => cloud(
      front.filter(point => point.method === at), x, y, "frontier, " + method,
      { color: colours[at % colours.length], size: 9, line: { color: "#fff", width: 1 } })),
    cloud(knee, x, y, "knee", { symbol: "star", color: "#d9480f", size: 17, line: { color: "#fff", width: 1 } }),
  ];
  const dense = y === "accuracy" && data.dense !== null;
  const layout = {
    xaxis: axis(x, front.filter(point => !point.uncut)), yaxis: axis(y, front), hovermode: "closest",
    margin: { t: 20, r: 20, b: 60, l: 70 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    shapes: dense ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.dense, y1: data.dense,
                       line: { dash: "dash", width: 1, color: "#52606d" } }] : [],
    annotations: dense ? [{ xref: "paper", x: 0, y: data.dense, text: "dense", showarrow: false, yanchor: "bottom",
                            xanchor: "left", font: { size: 12, color: "#52606d" } }] : [],
  };
  Plotly.react("plot", traces, layout, { responsive: true, displaylogo: false });
}

fill("x", data.across, data.across[0]);
fill("y", data.up, "accuracy");
box("all").onchange = draw;
draw();
for (const { id, data, layout } of JSON.parse(box("figures").textContent))
  Plotly.newPlot(id, data, layout, { responsive: true, displaylogo: false });
</script>
</body>
</html>
"""
