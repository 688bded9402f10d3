// Elements from plain data; text always stays text.

export function element(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list" && key !== "form") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return made;
}

export const heading = (level, text) => element(`h${level}`, {}, text);
export const paragraph = (text, kind) => element("p", { className: kind ?? "" }, text);
export const link = (href, text) => element("a", { href }, text);

// A table with headers and rows of cells; a cell is a text, a node, or {text, kind}.
export function table(caption, headers, rows, { textual = [], choose, chosen } = {}) {
  const kind = at => (textual.includes(at) ? "text" : "");
  const head = element("tr", {}, headers.map((text, at) => element("th", { scope: "col", className: kind(at) }, text)));
  const body = rows.map((cells, row) => element("tr",
    choose ? { tabIndex: 0, className: row === chosen ? "chosen" : "", "aria-selected": row === chosen ? "true" : "false", onclick: () => choose(row),
               onkeydown: event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(row); } } } : {},
    cells.map((cell, at) => element("td", { className: `${kind(at)} ${cell?.kind ?? ""}` }, cell instanceof Node ? cell : cell?.text ?? cell ?? ""))));
  const title = element("caption", { className: "soft" }, caption);
  return element("div", { className: "wide" }, element("table", {}, title, element("thead", {}, head), element("tbody", {}, body)));
}

export function labelled(text, control, line = false) {
  return element("label", { className: line ? "line" : "" }, line ? [control, text] : [text, control]);
}

export function choice(options, chosen, onchange, more = {}) {
  const made = element("select", { onchange: event => onchange(event.target.value), ...more });
  for (const [value, text] of options) made.add(new Option(text, value, false, value === chosen));
  return made;
}

export function button(text, onclick, { plain = false, ...more } = {}) {
  return element("button", { type: "button", className: plain ? "plain" : "", onclick, ...more }, text);
}

export async function copy(text, what) {
  await navigator.clipboard.writeText(text);
  tell(`copied ${what}`);
}

// What a store or the server holds is known again: nothing is stale any more.
export function fresh() {
  if (document.getElementById("news").textContent.startsWith("stale")) tell("");
}

// One line above every view, read aloud by screen readers.
export function tell(text, kind = "") {
  const news = document.getElementById("news");
  news.className = kind;
  news.textContent = text;
  clearTimeout(news.timer);
  if (text && !text.startsWith("stale")) news.timer = setTimeout(() => tell(""), 30000);
}
