// Thousands of points behind plotly's axes, on a plain canvas: milliseconds, also without a graphics card.
// Until plotly is there, which is a second later, the canvas shows axes and frontier too.

import { element } from "/assets/dom.js";
import { shown } from "/assets/figures.js";
import { colour } from "/assets/plots.js";

const NEAR = 8;   // pixels within which a point is meant
const MARGIN = { l: 70, t: 48, r: 16, b: 62 };
const STILL = 4;  // a pointer that moves less than this between down and up has clicked

export class Cloud {
  // `plot`: plotly's element. `describe(mark)` gives the lines of a hover, `choose(mark)` is told of a click.
  constructor(plot, describe, choose) {
    this.plot = plot;
    this.canvas = element("canvas", { className: "cloud", "aria-hidden": "true" });
    this.hint = element("div", { className: "hint", hidden: true });
    this.stage = element("div", { className: "stage" }, this.canvas, plot, this.hint);
    this.groups = [];
    plot.addEventListener("mousemove", event => {
      const found = event.buttons ? null : this.nearest(event);
      this.hint.hidden = !found || this.covered;
      if (this.hint.hidden) return;
      this.hint.replaceChildren(...describe(found.mark).map((line, at) => element(at ? "div" : "b", {}, line)));
      const left = found.x + 12, room = this.stage.clientWidth - this.hint.offsetWidth;
      this.hint.style.left = `${left < room ? left : Math.max(found.x - this.hint.offsetWidth - 12, 0)}px`;
      this.hint.style.top = `${found.y + 12}px`;
    });
    plot.addEventListener("mouseleave", () => { this.hint.hidden = true; });
    let down = null;
    plot.addEventListener("pointerdown", event => { down = [event.clientX, event.clientY]; }, true);
    addEventListener("pointerup", this.up = event => {
      const still = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < STILL;
      down = null;
      const found = still && !this.covered && plot.contains(event.target) ? this.nearest(event) : null;
      if (found) choose(found.mark);
    }, true);
  }

  // Once plotly has drawn: what it covers with a hover of its own is not told twice.
  listen() {
    this.plot.on("plotly_afterplot", () => this.paint());
    this.plot.on("plotly_relayouting", () => this.paint());
    this.plot.on("plotly_hover", () => { this.covered = true; this.hint.hidden = true; });
    this.plot.on("plotly_unhover", () => { this.covered = false; });
  }

  // Groups of `{colour, xs, ys, mark(at)}`, in the units of the axes.
  put(groups) { this.groups = groups; }

  // `x` and `y`: {figure, title, range}; `steps` and `front`: pairs. Only until plotly has drawn.
  sketch(x, y, steps, front) {
    this.sketched = { x, y, steps, front };
    this.paint();
    this.stage.dataset.shown = "yes";
  }

  leave() { removeEventListener("pointerup", this.up, true); }

  scales() {
    const { xaxis, yaxis, _size: size } = this.plot._fullLayout ?? this.own() ?? {};
    if (!size) return null;
    const [left, right] = xaxis.range, [bottom, top] = yaxis.range;
    return {
      size, across: value => size.l + (value - left) / (right - left) * size.w,
      down: value => size.t + (top - value) / (top - bottom) * size.h,
    };
  }

  // As long as there is no plotly.
  own() {
    if (!this.sketched) return null;
    const { clientWidth: width, clientHeight: height } = this.plot, { l, t, r, b } = MARGIN;
    return { xaxis: this.sketched.x, yaxis: this.sketched.y, _size: { l, t, w: width - l - r, h: height - t - b } };
  }

  axes(pen, { size, across, down }) {
    const { x, y, steps, front } = this.sketched, base = size.t + size.h;
    pen.lineWidth = 1;
    pen.strokeStyle = colour("line");
    pen.fillStyle = colour("ink");
    pen.font = "12px system-ui, sans-serif";
    const line = (...ends) => { pen.beginPath(); ends.forEach(([px, py], at) => (at ? pen.lineTo(px, py) : pen.moveTo(px, py))); pen.stroke(); };
    pen.textAlign = "center";
    for (const tick of ticks(x.range)) { line([across(tick), size.t], [across(tick), base]); pen.fillText(shown(x.figure, tick), across(tick), base + 18); }
    pen.fillText(x.title.text, size.l + size.w / 2, base + 42);
    pen.textAlign = "right";
    for (const tick of ticks(y.range)) { line([size.l, down(tick)], [size.l + size.w, down(tick)]); pen.fillText(shown(y.figure, tick), size.l - 6, down(tick) + 4); }
    pen.textAlign = "left";
    pen.fillText(y.title.text, 4, size.t - 12);
    pen.strokeStyle = pen.fillStyle = colour("accent");
    pen.lineWidth = 2;
    if (steps.length) line(...steps.flatMap(([px, py], at) => (at ? [[across(px), down(steps[at - 1][1])], [across(px), down(py)]] : [[across(px), down(py)]])));
    for (const [px, py] of front) { pen.beginPath(); pen.arc(across(px), down(py), 4, 0, 2 * Math.PI); pen.fill(); }
  }

  paint() {
    const scales = this.scales(), dense = devicePixelRatio || 1;
    if (!scales) return;
    const { clientWidth: width, clientHeight: height } = this.plot, { size, across, down } = scales;
    if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(size.l, size.t, size.w, size.h);
    pen.clip();
    pen.globalAlpha = 0.45;
    for (const { colour, xs, ys } of this.groups) {
      pen.fillStyle = colour;
      for (let at = 0; at < xs.length; at++) pen.fillRect(across(xs[at]) - 2, down(ys[at]) - 2, 4, 4);
    }
    pen.restore();
    if (!this.plot._fullLayout) this.axes(pen, scales);
  }

  nearest(event) {
    const scales = this.scales();
    if (!scales) return null;
    const { left, top } = this.plot.getBoundingClientRect(), px = event.clientX - left, py = event.clientY - top, { size } = scales;
    if (px < size.l || px > size.l + size.w || py < size.t || py > size.t + size.h) return null;
    let best = NEAR ** 2, found = null;
    for (const { xs, ys, mark } of this.groups)
      for (let at = 0; at < xs.length; at++) {
        const x = scales.across(xs[at]), y = scales.down(ys[at]), far = (x - px) ** 2 + (y - py) ** 2;
        if (far < best) { best = far; found = { x, y, mark: mark(at) }; }
      }
    return found;
  }
}

// Some four round values within a range, whichever way it goes.
export function ticks([one, other]) {
  const low = Math.min(one, other), span = Math.max(one, other) - low, power = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map(times => times * power).find(each => span / each <= 5), found = [];
  for (let at = Math.ceil(low / step); at * step <= low + span; at++) found.push(at * step);
  return found;
}
