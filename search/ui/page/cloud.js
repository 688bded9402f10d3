// Thousands of points behind plotly's axes, on a plain canvas: milliseconds, also without a graphics card.

import { element } from "/assets/dom.js";

const NEAR = 8;   // pixels within which a point is meant
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

  leave() { removeEventListener("pointerup", this.up, true); }

  scales() {
    const { xaxis, yaxis, _size: size } = this.plot._fullLayout ?? {};
    if (!size) return null;
    const [left, right] = xaxis.range, [bottom, top] = yaxis.range;
    return {
      size, across: value => size.l + (value - left) / (right - left) * size.w,
      down: value => size.t + (top - value) / (top - bottom) * size.h,
    };
  }

  paint() {
    const scales = this.scales(), dense = devicePixelRatio || 1;
    if (!scales) return;
    const { clientWidth: width, clientHeight: height } = this.plot, { size, across, down } = scales;
    if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
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
