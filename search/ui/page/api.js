// What the server is asked; a refusal is an Error with the server's own words.

export class Refused extends Error {
  constructor(status, text, faults = []) {
    super(text);
    this.status = status;
    this.faults = faults;
  }
}

export async function ask(path, { method, body } = {}) {
  let answer;
  try {
    const early = window.earlyAnswers.get(path);
    window.earlyAnswers.delete(path);
    answer = early && body === undefined && !method ? await early : await fetch(`/api${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, "the server of this page does not answer: is sparsweep ui still running?");
  }
  if (answer.ok) return (answer.headers.get("Content-Type") ?? "").includes("json") ? answer.json() : answer.blob();
  const told = await answer.json().catch(() => ({}));
  const text = told.text ?? (Array.isArray(told.detail) ? told.detail.map(each => `${each.loc.at(-1)}: ${each.msg}`).join("; ") : answer.statusText);
  throw new Refused(answer.status, text, told.faults ?? []);
}

export const name = text => encodeURIComponent(text);
