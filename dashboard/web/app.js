// The status page: reads /api/sweeps, /api/sweeps/N and /api/sweeps/N/tables and shows them. Nothing here changes
// anything. Text from the server only ever enters the page as text, never as markup.
"use strict";

const REFRESH_MS = 2000;
const TIMEOUT_MS = 5000;
// In the order in which a bar shows them; "running" includes leased.
const STATES = ["succeeded", "running", "ready", "waiting", "blocked", "failed", "cancelled"];
const KINDS = ["inspect", "quantize", "finetune", "generate", "grade"];

const view = { sweeps: null, status: null, tables: null, tablesOf: "", lastSeen: 0, failing: "" };

// --- small tools ---

/** Makes an element: attributes, then children (strings become text). */
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) {
      node.append(child);
    }
  }
  return node;
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${String(whole % 60).padStart(2, "0")}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
// Protobuf writes 64-bit integers as strings.
const number = (value) => Number(value || 0);
const percent = (fraction) => `${Math.floor(100 * fraction)}%`;
const ended = (state) => ["succeeded", "failed", "cancelled"].includes(state);

function elapsed(summary) {
  const end = number(summary.ended_us) > 0 ? number(summary.ended_us) / 1e6 : Date.now() / 1000;
  return end - number(summary.created_us) / 1e6;
}

async function fetchJson(path) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(path, { signal: stop.signal, cache: "no-store" });
    const body = await response.json().catch(() => null);
    if (!response.ok) {
      const error = new Error((body && body.error) || `${path} answered ${response.status}`);
      error.answered = true;
      throw error;
    }
    return body;
  } finally {
    clearTimeout(timer);
  }
}

// --- what is shown ---

const selected = () => decodeURIComponent((location.hash.match(/^#\/sweeps\/(.+)$/) || [])[1] || "");

function tally(stages) {
  const byKind = new Map();
  for (const { kind, state, count } of stages || []) {
    const shown = state === "leased" ? "running" : state;
    const counts = byKind.get(kind) || Object.fromEntries(STATES.map((name) => [name, 0]));
    counts[shown] = (counts[shown] || 0) + count;
    byKind.set(kind, counts);
  }
  return byKind;
}

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

function segmentedBar(counts, label) {
  const total = sum(counts);
  return element("div", { class: "bar", role: "img", "aria-label": label },
    STATES.filter((state) => counts[state] > 0).map((state) =>
      element("i", { class: state, style: `width:${(100 * counts[state]) / total}%`, title: `${counts[state]} ${state}` })));
}

function progressBar(fraction, label) {
  return element("div", { class: "bar", role: "img", "aria-label": label },
    element("i", { class: "running", style: `width:${100 * Math.min(1, Math.max(0, fraction))}%` }));
}

function stateWord(state) {
  return element("span", { class: `state state-${state}` }, state);
}

function renderSweeps() {
  const nav = document.getElementById("sweeps");
  const sweeps = view.sweeps || [];
  nav.hidden = sweeps.length === 0;
  const current = selected() || (sweeps[0] ? String(sweeps[0].sweep) : "");
  nav.replaceChildren(...sweeps.map((sweep) =>
    element("a", { href: `#/sweeps/${sweep.sweep}`, "aria-current": String(sweep.sweep) === current && "true" },
      element("div", { class: "name" }, element("span", {}, sweep.name), stateWord(sweep.state)),
      element("div", { class: "small" },
        `sweep ${sweep.sweep} · ${sweep.cells_done || 0} of ${plural(sweep.cells || 0, "cell")} · ${span(elapsed(sweep))}`))));
}

function headPart(status) {
  const summary = status.summary;
  const byKind = tally(status.stages);
  const all = Object.fromEntries(STATES.map((state) =>
    [state, [...byKind.values()].reduce((total, counts) => total + counts[state], 0)]));
  const total = sum(all);
  const facts = [
    element("span", {}, "sweep ", element("b", {}, String(summary.sweep))),
    stateWord(summary.state),
    element("span", {}, ended(summary.state) ? "took " : "running for ", element("b", {}, span(elapsed(summary)))),
  ];
  if (!ended(summary.state)) {
    facts.push(status.eta_seconds >= 0
      ? element("span", {}, "about ", element("b", {}, span(status.eta_seconds)), " left") : null);
    facts.push(element("span", {}, element("b", {}, plural(status.workers || 0, "worker"))));
  }
  facts.push(element("span", {}, element("b", {}, `${all.succeeded} of ${plural(total, "stage")}`)));
  facts.push(element("span", {}, element("b", {}, `${summary.cells_done || 0} of ${plural(summary.cells || 0, "cell")}`)));
  if (status.cached > 0) {
    facts.push(element("span", {}, `${status.cached} cached`));
  }
  return element("div", {}, element("h2", {}, summary.name), element("p", { class: "facts" }, facts),
    segmentedBar(all, `${all.succeeded} of ${total} stages done`));
}

function kindsPart(status) {
  const byKind = tally(status.stages);
  const rows = [];
  for (const kind of [...KINDS, ...[...byKind.keys()].filter((name) => !KINDS.includes(name))]) {
    const counts = byKind.get(kind);
    if (!counts) continue;
    const rest = ["running", "ready", "waiting", "blocked", "cancelled"].filter((state) => counts[state] > 0)
      .map((state) => `${counts[state]} ${state}`);
    rows.push(element("div", { class: "kind" },
      element("span", { class: "name" }, kind),
      segmentedBar(counts, `${kind}: ${counts.succeeded} of ${sum(counts)} done`),
      element("span", { class: "counts" }, `${counts.succeeded}/${sum(counts)}`,
        rest.length > 0 ? ` · ${rest.join(", ")}` : null,
        counts.failed > 0 ? " · " : null,
        counts.failed > 0 ? element("span", { class: "hot" }, `${counts.failed} failed`) : null)));
  }
  if (rows.length === 0) return null;
  const present = STATES.filter((state) => [...byKind.values()].some((counts) => counts[state] > 0));
  return element("div", {}, element("h3", {}, "Stages"), element("div", { class: "kinds" }, rows),
    element("div", { class: "legend" }, present.map((state) =>
      element("span", {}, element("i", { style: `background:var(--${({ succeeded: "done", running: "accent", blocked: "warn" })[state] || state})` }), state))));
}

function runningPart(status) {
  if (!(status.running || []).length) return null;
  return element("div", {}, element("h3", {}, "Running"), status.running.map((stage) => {
    const total = number(stage.total);
    const fraction = total > 0 ? number(stage.done) / total : 0;
    const right = [total > 0 ? percent(fraction) : null, stage.eta_seconds >= 0 ? `${span(stage.eta_seconds)} left` : null];
    const small = [stage.worker, stage.phase, total > 0 ? `${stage.done}/${stage.total} ${stage.unit || ""}`.trim() : null,
      stage.attempt > 1 ? `attempt ${stage.attempt}` : null];
    return element("div", { class: "row" }, element("span", { class: "what" }, stage.label),
      element("span", { class: "right" }, right.filter(Boolean).join(" · ")),
      progressBar(fraction, `${stage.label}: ${percent(fraction)}`),
      element("span", { class: "small" }, small.filter(Boolean).join(" · ")));
  }));
}

function failuresPart(status) {
  if (!(status.failures || []).length) return null;
  return element("div", {}, element("h3", {}, "Failures, newest first"), status.failures.map((failure) =>
    element("div", { class: "row" }, element("span", { class: "what" }, failure.label),
      element("span", { class: `right ${failure.final ? "state-failed" : "state-paused"}` },
        `${failure.failure_class}${failure.final ? "" : ", will run again"}`),
      element("span", { class: "small" },
        [`attempt ${failure.attempt}`, failure.worker, (failure.stage || "").slice(0, 12)].filter(Boolean).join(" · ")),
      element("span", { class: "small" }, failure.message))));
}

function notesPart(status) {
  if (!(status.notes || []).length) return null;
  return element("div", { class: "notes" }, status.notes.map((note) => element("p", {}, note)));
}

/** Splits a Markdown table row at its bars; `\|` is a bar within a cell. */
function cellsOf(line) {
  return line.trim().replace(/^\|/, "").replace(/\|$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

/** A line's text: `**bold**` and code between back-ticks are the only markup that the tables use. */
function inline(text) {
  return text.split(/(\*\*.+?\*\*|`.+?`)/).map((part, index) =>
    index % 2 === 0 ? part : part[0] === "`" ? element("code", {}, part.slice(1, -1)) : element("b", {}, part.slice(2, -2)));
}

function markdownTable(lines) {
  const right = cellsOf(lines[1] || "").map((rule) => rule.endsWith(":"));
  const row = (line, tag) => element("tr", {}, cellsOf(line).map((cell, column) =>
    element(tag, { class: right[column] && "number" }, inline(cell))));
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, row(lines[0], "th")), element("tbody", {}, lines.slice(2).map((line) => row(line, "td")))));
}

/** Tables become tables, the lines between them paragraphs; nothing else of Markdown is used by the coordinator. */
function markdown(text) {
  const nodes = [];
  let table = [];
  const flush = () => {
    if (table.length) nodes.push(markdownTable(table));
    table = [];
  };
  for (const line of text.split("\n")) {
    if (line.trimStart().startsWith("|")) {
      table.push(line);
      continue;
    }
    flush();
    const heading = line.match(/^#+\s+(.*)$/);
    if (heading) nodes.push(element("h3", {}, inline(heading[1])));
    else if (line.trim()) nodes.push(element("p", { class: "text" }, inline(line.trim().replace(/^- /, ""))));
  }
  flush();
  return nodes;
}

function tablesPart() {
  return (view.tables || []).map((table) => element("div", {},
    /^#/.test(table.text) ? null : element("h3", {}, `${table.question} on ${table.benchmark}`), markdown(table.text)));
}

function emptyPart() {
  return element("div", { class: "empty" }, element("h2", {}, "No sweeps yet"),
    element("p", {}, "A sweep is a file that names models, precisions, calibrations and benchmarks. Start one with:"),
    element("pre", {}, element("code", {}, "bitsweep plan study.yaml --offline\nbitsweep submit study.yaml --watch")),
    element("p", {}, "It appears here by itself."));
}

function render() {
  const away = document.getElementById("away");
  away.hidden = view.failing === "";
  if (view.failing !== "") {
    const since = view.lastSeen ? `, last seen ${span((Date.now() - view.lastSeen) / 1000)} ago` : "";
    away.textContent = `The coordinator at ${location.host} does not answer (${view.failing})${since}. Trying again. ` +
      "Running stages go on without it.";
  }
  document.querySelector("main").classList.toggle("stale", view.failing !== "");
  document.getElementById("connection").textContent = view.failing !== "" ? "not connected" : view.sweeps ? "live" : "connecting…";
  if (!view.sweeps) return;
  renderSweeps();
  const section = document.getElementById("sweep");
  if (view.sweeps.length === 0) {
    section.replaceChildren(emptyPart());
  } else if (view.problem) {
    section.replaceChildren(element("div", {}, element("h2", {}, "Not found"), element("p", {}, view.problem)));
  } else if (view.status) {
    document.title = `${view.status.summary.name}: ${view.status.summary.state}`;
    section.replaceChildren(...[headPart(view.status), notesPart(view.status), kindsPart(view.status),
      runningPart(view.status), failuresPart(view.status), ...tablesPart()].filter(Boolean));
  }
}

// --- the loop ---

/** `current()` turns false when another sweep was chosen meanwhile: then what comes back is dropped. */
async function refresh(current) {
  try {
    const list = await fetchJson("/api/sweeps");
    if (!current()) return;
    const sweeps = Array.isArray(list) ? list : list.sweeps || [];
    view.sweeps = [...sweeps].sort((a, b) => number(b.sweep) - number(a.sweep));
    const wanted = selected() || (view.sweeps[0] ? String(view.sweeps[0].sweep) : "");
    view.problem = "";
    if (wanted !== "") {
      const path = `/api/sweeps/${encodeURIComponent(wanted)}`;
      try {
        const status = await fetchJson(path);
        if (!current()) return;
        view.status = status;
        // Tables change only when a cell does.
        const version = `${wanted}/${view.status.summary.state}/${view.status.summary.cells_done}/${
          [...tally(view.status.stages).values()].map((counts) => counts.succeeded).join(",")}`;
        if (version !== view.tablesOf) {
          const tables = await fetchJson(`${path}/tables`);
          if (!current()) return;
          view.tables = tables;
          view.tablesOf = version;
        }
      } catch (error) {
        if (!error.answered) throw error;
        view.problem = error.message;
      }
    }
    view.failing = "";
    view.lastSeen = Date.now();
  } catch (error) {
    view.failing = error.name === "AbortError" ? "no answer in time" : error.answered ? error.message : "no connection";
  }
  render();
}

let timer = 0;
let turn = 0;
async function loop() {
  clearTimeout(timer);
  const mine = ++turn;
  await refresh(() => mine === turn);
  // A later call (another sweep was chosen meanwhile) has its own timer.
  if (mine === turn) timer = setTimeout(loop, REFRESH_MS);
}

window.addEventListener("hashchange", () => {
  view.status = null;
  view.tables = null;
  view.tablesOf = "";
  loop();
});
document.addEventListener("visibilitychange", () => {
  // A page in the background asks for nothing.
  if (document.hidden) clearTimeout(timer);
  else loop();
});
loop();
