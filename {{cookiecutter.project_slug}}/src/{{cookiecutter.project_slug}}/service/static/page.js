const MOST_CLASSES = 10;
const MOST_REASONS = 6;
const PATIENCE = 30_000; // milliseconds

const at = (id) => document.getElementById(id);

if (at("swagger-ui")) showDocs();
else startForm();

function showDocs() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
  SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", tryItOutEnabled: true, validatorUrl: null });
}

function startForm() {
  const controls = [...document.querySelectorAll("[data-column]")];
  let asked = 0;

  for (const time of document.querySelectorAll("time")) time.textContent = readableDate(time.dateTime);
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = ++asked;
    const body = { features: readRow(controls) };
    const problems = controls.filter((control) => control.validity.badInput).map(unreadable);
    const answer = problems.length ? { problems } : await ask(body);
    if (number !== asked) return; // a later request replaces this one
    showProblems(controls, answer);
    if (answer.content) showAnswer(body, answer.content);
  });
  at("form").addEventListener("reset", () => showProblems(controls, {}));
  for (const kind of ["input", "reset"]) {
    at("form").addEventListener(kind, ({ target }) => {
      if (target.id === "find") findColumns(controls, target.value);
      else for (const id of ["answer", "reasons"]) at(id).classList.add("old");
    });
  }
}

// fromEntries instead of assignment, because a column may have the name "__proto__".
function readRow(controls) {
  const known = controls.filter(({ value }) => value.trim() !== "");
  return Object.fromEntries(known.map((control) => [control.dataset.column, readValue(control)]));
}

function readValue({ value, dataset: { kind } }) {
  if (kind === "boolean") return value === "true";
  return kind === "number" || kind === "integer" ? Number(value) : value;
}

function unreadable({ dataset: { column, kind } }) {
  return { column, problem: kind === "date" ? "should be a complete date" : "should be a number" };
}

async function ask(body) {
  const options = {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  };
  let response;
  try {
    response = await fetch("predict?explain=true", options);
  } catch {
    return { failure: "The server does not answer. Is it running?" };
  }
  const content = await response.json().catch(() => null);
  if (response.ok && content) return { content };
  const problems = content?.errors?.filter(({ column }) => column) ?? [];
  return { problems, failure: problems.length ? "" : `${response.status}: ${content?.detail ?? response.statusText}` };
}

function showProblems(controls, { problems = [], failure = "" }) {
  const byColumn = new Map(problems.map(({ column, problem }) => [column, problem]));
  at("failure").textContent = failure;
  for (const control of controls) {
    const problem = byColumn.get(control.dataset.column) ?? "";
    at(`${control.id}-problem`).textContent = problem;
    control.ariaInvalid = problem ? "true" : null; // null removes the attribute
    if (problem) control.closest(".field").hidden = false;
  }
  document.querySelector("[aria-invalid]")?.focus();
}

function showAnswer(request, content) {
  const { prediction, probabilities, explanation } = content;
  const best = probabilities ? String(prediction) : readable(prediction);
  const parts = [make("p", { className: "best" }, best)];
  if (probabilities) parts.push(makeClasses(Object.entries(probabilities), best));
  at("answer").replaceChildren(...parts);
  at("effects").replaceChildren(...makeReasons(explanation, probabilities && best));
  at("request").textContent = JSON.stringify(request, null, 2);
  at("response").textContent = JSON.stringify(content, null, 2);
  for (const id of ["answer", "reasons"]) at(id).classList.remove("old");
  for (const id of ["reasons", "as-json"]) at(id).hidden = false;
  at("answer").parentElement.scrollIntoView({ block: "nearest" });
}

// Few classes keep their order from row to row; many are sorted by probability.
function makeClasses(classes, best) {
  const many = classes.length > MOST_CLASSES;
  const sorted = many ? classes.toSorted(([, one], [, other]) => other - one) : classes;
  const bars = sorted.slice(0, MOST_CLASSES).map(([label, share]) => makeBar(label, percent(share), share, label === best ? "likeliest" : ""));
  if (many) bars.push(makeBar(`${classes.length - MOST_CLASSES} others are less likely`, "", 0, ""));
  return make("ul", { className: "bars" }, ...bars);
}

function makeReasons(explanation, label) {
  const shown = explanation.filter(({ effect }) => Math.abs(effect) >= (label ? 0.0005 : Number.MIN_VALUE));
  const largest = Math.abs(shown[0]?.effect);
  if (!shown.length) return [make("li", {}, "Every column has its typical value or makes no difference.")];
  return shown.slice(0, MOST_REASONS).map(({ column, value, effect }) => {
    const raises = effect > 0;
    const amount = label ? `${readable(100 * Math.abs(effect), 2)} percentage points` : readable(Math.abs(effect), 3);
    const given = value === null ? `${column} not known` : `${column} ${readableValue(value)}`;
    const text = `${given} ${raises ? "raises" : "lowers"} ${label ? `the probability of ${label}` : "the prediction"} by ${amount}`;
    return makeBar(text, "", Math.abs(effect) / largest, raises ? "raises" : "lowers");
  });
}

function makeBar(text, figure, share, className) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${100 * share}%`;
  const track = make("span", { className: "track", ariaHidden: "true" }, fill);
  return make("li", { className }, make("span", {}, text), make("data", {}, figure), track);
}

function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

function readable(number, digits = 6) {
  return number.toLocaleString("en", { maximumSignificantDigits: digits });
}

function readableValue(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return readable(value);
  return /^\d{4}-\d\d-\d\dT/.test(value) ? readableDate(value) : value;
}

function readableDate(text) {
  const date = new Date(text.length > 10 ? text : `${text}T00:00:00`);
  return date.toLocaleDateString(); // as in the date fields of the browser
}

function findColumns(controls, words) {
  const isWanted = ({ dataset: { column } }) => column.toLowerCase().includes(words.trim().toLowerCase());
  for (const control of controls) control.closest(".field").hidden = !isWanted(control);
}

// Text is never set as HTML: names and labels come from a table and may contain anything.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
