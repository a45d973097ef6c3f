"use strict";

const MOST_BARS = 10;
const PATIENCE = 30_000; // milliseconds

const at = (id) => document.getElementById(id);

if (at("swagger-ui")) showDocs();
else if (at("form")) startForm();

function showDocs() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
  at("swagger-ui").style.overflowX = "auto"; // its tables are wider than a phone
  SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    tryItOutEnabled: true,
    displayRequestDuration: true,
    validatorUrl: null, // would ask another host
  });
}

function startForm() {
  const form = at("form");
  const controls = [...document.querySelectorAll("[data-column]")];
  let asked = 0;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = ++asked;
    const problems = controls.filter((control) => control.validity.badInput).map(unreadable);
    const body = JSON.stringify({ features: readRow(controls) });
    const answer = problems.length ? { problems } : await ask(body);
    if (number !== asked) return; // a later answer is on its way
    showProblems(controls, answer);
    if (answer.content) showAnswer(body, answer.content);
  });
  form.addEventListener("reset", () => showProblems(controls, {}));
  for (const kind of ["input", "reset"]) {
    form.addEventListener(kind, ({ target }) => {
      if (target.id !== "find") at("answer").classList.add("old");
    });
  }
  at("find")?.addEventListener("input", ({ target }) => find(controls, target.value));
  at("find")?.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
}

/* ---- the row ---- */

// fromEntries and not assignment, because a column may be called "__proto__".
function readRow(controls) {
  const known = controls.filter((control) => control.value.trim() !== "");
  return Object.fromEntries(known.map((control) => [control.dataset.column, readValue(control)]));
}

function readValue({ value, dataset: { kind } }) {
  if (kind === "boolean") return value === "true";
  return kind === "number" || kind === "integer" ? Number(value) : value;
}

function unreadable({ dataset: { column, kind } }) {
  return { column, problem: kind === "date" ? "should be a whole date" : "should be a number" };
}

/* ---- the server ---- */

async function ask(body) {
  const headers = { "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch("predict", { method: "POST", headers, body, signal });
  } catch {
    return { failure: "The server does not answer. Does it still run?" };
  }
  const content = await response.json().catch(() => null);
  if (response.ok && content) return { content };
  const problems = content?.errors ?? [];
  const reason = content?.detail ?? response.statusText;
  return { problems, failure: problems.length ? "" : `${response.status}: ${reason}` };
}

/* ---- what is shown ---- */

function showProblems(controls, { problems = [], failure = "" }) {
  const left = new Map(problems.map(({ column, problem }) => [column, problem]));
  let first = null;
  for (const control of controls) {
    const problem = left.get(control.dataset.column) ?? "";
    left.delete(control.dataset.column);
    at(control.id.replace("field", "problem")).textContent = problem;
    if (!problem) {
      control.removeAttribute("aria-invalid");
      continue;
    }
    control.setAttribute("aria-invalid", "true");
    control.closest(".field").hidden = false;
    first ??= control;
  }
  const elsewhere = [...left].map(([column, problem]) => `${column ?? ""} ${problem}`.trim());
  at("failure").textContent = [failure, ...elsewhere].filter(Boolean).join("; ");
  first?.focus();
}

function showAnswer(request, content) {
  const { prediction, probabilities } = content;
  const best = probabilities ? String(prediction) : readable(prediction);
  const parts = [make("p", { className: "best" }, make("data", { value: prediction }, best))];
  if (probabilities) parts.push(makeBars(Object.entries(probabilities), String(prediction)));
  parts.push(make("p", { className: "note" }, "This was before you changed the values."));
  at("answer").replaceChildren(...parts);
  at("answer").classList.remove("old");
  at("request").textContent = JSON.stringify(JSON.parse(request), null, 2);
  at("response").textContent = JSON.stringify(content, null, 2);
  at("as-json").hidden = false;
  at("answer").parentElement.scrollIntoView({ block: "nearest" });
}

// Few classes keep their order, so that the eye finds them again; of many the likely ones come first.
function makeBars(classes, best) {
  const many = classes.length > MOST_BARS;
  const sorted = many ? classes.toSorted(([, one], [, other]) => other - one) : classes;
  const rest = sorted.slice(MOST_BARS);
  const bars = sorted.slice(0, MOST_BARS).map(([label, p]) => makeBar(label, p, label === best));
  if (rest.length) {
    const sum = rest.reduce((total, [, p]) => total + p, 0);
    bars.push(makeBar(`${rest.length} more`, sum, false));
  }
  return make("ul", { className: "bars" }, ...bars);
}

function makeBar(label, probability, isBest) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${100 * probability}%`;
  const track = make("span", { className: "track", ariaHidden: "true" }, fill);
  const share = make("data", { value: probability }, percent(probability));
  return make("li", { className: isBest ? "likeliest" : "" }, make("span", {}, label), share, track);
}

function percent(probability) {
  if (probability > 0 && probability < 0.001) return "< 0.1 %";
  if (probability < 1 && probability > 0.999) return "> 99.9 %";
  return `${(100 * probability).toFixed(1)} %`;
}

function readable(number) {
  return Number(number).toLocaleString("en", { maximumSignificantDigits: 6 });
}

function find(controls, words) {
  const wanted = words.trim().toLowerCase();
  let count = 0;
  for (const control of controls) {
    const shown = control.dataset.column.toLowerCase().includes(wanted);
    control.closest(".field").hidden = !shown;
    count += shown;
  }
  at("found").textContent = wanted ? `${count} of ${controls.length} columns` : `${count} columns`;
}

// Text is only ever set as text: names and labels come from a table and may hold anything.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
