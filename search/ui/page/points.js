// The points of a sweep as columns, kept up to date by the server's events.

import { ask, name } from "/assets/api.js";

const AGAIN_MS = 3000;

export class Points {
  constructor(sweep) {
    this.sweep = sweep;
    this.data = null;
    this.changed = () => {};
    this.said = () => {};
  }

  async load() {
    this.data = await ask(`/sweeps/${name(this.sweep)}/points`);
    this.front = new Set(this.data.front);
  }

  get count() { return this.data.columns.trial?.length ?? 0; }

  column(figure) { return this.data.columns[figure] ?? []; }

  id(row) { return `${String(this.column("trial")[row]).padStart(5, "0")}/${this.column("cut")[row]}`; }

  trial(row) { return this.data.trials[this.column("trial")[row]] ?? { method: "", setting: {} }; }

  // Of the points, how many were measured so, in [0, 1].
  share(figure) { return this.count ? this.column(figure).filter(value => value !== null).length / this.count : 0; }

  has(figure) { return this.column(figure).some(value => value !== null); }

  // Listens until the returned function is called.
  follow() {
    let source, again;
    const listen = () => { source = this.listen(() => { again = setTimeout(listen, AGAIN_MS); }); };
    listen();
    return () => { clearTimeout(again); source.close(); };
  }

  // `refused`: called where the server has answered that it will not tell, after saying why.
  listen(refused) {
    const source = new EventSource(`/api/sweeps/${name(this.sweep)}/events?version=${this.data.version}`);
    const heard = (kind, take) => source.addEventListener(kind, event => take(JSON.parse(event.data)));
    heard("points", news => {
      if (news.since !== this.count) return this.load().then(() => this.changed());
      for (const [figure, values] of Object.entries(news.columns)) (this.data.columns[figure] ??= []).push(...values);
      Object.assign(this.data.trials, news.trials);
      this.data.version = news.version;
      this.data.hypervolume = news.hypervolume;
      this.data.timed = news.timed;
      this.front = new Set(this.data.front = news.front);
      this.changed();
    });
    heard("reload", () => this.load().then(() => this.changed()).catch(fault => this.said(fault.message)));
    heard("state", state => this.said("", state));
    heard("stale", fault => this.said(`stale: ${fault.text}`));
    heard("gone", fault => { this.said(`stale: ${fault.text}`); source.close(); });
    source.onerror = async () => {
      this.said("stale: the server does not answer; the picture is the last one");
      if (source.readyState !== EventSource.CLOSED) return;  // the browser tries again
      const fault = await ask(`/sweeps/${name(this.sweep)}`).then(() => null, found => found);
      if (fault?.status) this.said(`stale: ${fault.message}`);
      if (fault?.status !== 404) refused();
    };
    return source;
  }
}
