"""The pages in a real browser: the form, the model card, the documentation of the API."""

import csv
import json
import os
import random
import shutil
import subprocess
import urllib.request

import pytest
from conftest import PATIENCE, Project
from playwright.sync_api import expect, sync_playwright
from test_serving import free_port, wait_until_it_answers

pytestmark = pytest.mark.slow

HOSTILE = [
    '<script>alert("x")</script>',
    "a \"b\" 'c' & d",
    "größe in % ½",
    "{{ 7 * 7 }}",
    "__proto__",
    "elements",
    "features",
    "</option><b>bold</b>",
]
LABELS = ["<img src=x onerror=alert(1)>", "__proto__", 'say "hi"']
UNNAMED = """() => [...document.querySelectorAll("input, select, textarea, button, summary")]
  .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label")))
  .map(e => e.outerHTML)"""
DANGLING = """() => [...document.querySelectorAll("[aria-describedby], [aria-labelledby], [list]")]
  .flatMap(e => ["aria-describedby", "aria-labelledby", "list"]
    .flatMap(name => (e.getAttribute(name) ?? "").split(" ").filter(Boolean)))
  .filter(id => !document.getElementById(id))"""
TWICE = """() => [...document.querySelectorAll("[id]")].map(e => e.id)
  .filter((id, place, all) => all.indexOf(id) !== place)"""
# Relative luminance and contrast as in WCAG 2; the text's own colour on the nearest background.
FAINT = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const pair = [numbers(getComputedStyle(e).color), behind(e)].map(luminance).sort((a, b) => b - a);
      return [e.textContent.trim().slice(0, 30), (pair[0] + 0.05) / (pair[1] + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);
}"""


@pytest.fixture(scope="module")
def browser():
    """The machine's own Chromium."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        assert path, "chromium is needed to test the page"
        expect.set_options(timeout=PATIENCE * 1000)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open the page of a server; at the end nothing may have gone wrong in any of them.

    The browser itself logs each answer that is an error: `expected` is what it may say.
    """
    contexts, wrong = [], []

    def open_page(url, path="/", width=1280, scheme="light", expected=None):
        size = {"width": width, "height": 800}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()

        def log(message):
            if message.type in ("error", "warning") and (
                expected is None or expected not in message.text
            ):
                wrong.append(message.text)

        page.on("console", log)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda sent: sent.url.startswith((url, "data:")) or wrong.append(sent.url),
        )
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def serve(ready, tmp_path_factory):
    """Train in a folder with a project's files, start its server, and return its address.

    The folders share the environment of one project: to install each would take longer than all.
    """
    path = f"{ready.path / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    processes = []

    def serve(header=None, rows=()):
        project = Project(tmp_path_factory.mktemp("page") / "project")
        shutil.copytree(ready.path, project.path, ignore=shutil.ignore_patterns(".venv"))
        commands = [["python", "pipeline.py"], ["train"]]
        if header:
            file = project.path / "data/raw/own.csv"
            with file.open("w", encoding="utf-8", newline="") as content:
                csv.writer(content).writerows([header, *rows])
            commands.insert(0, ["infer-schema", "data/raw/own.csv", "--target", header[-1]])
        for command in commands:
            result = project.run(*command, env=env)
            assert result.returncode == 0, result.stdout + result.stderr
        port = free_port()
        command = ["python", "app.py", "--port", str(port)]
        processes.append(subprocess.Popen(command, cwd=project.path, env=env))
        wait_until_it_answers(processes[-1], port)
        return f"http://127.0.0.1:{port}"

    yield serve
    for process in processes:
        process.terminate()
        process.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def sample(serve):
    """The address of a server with the sample table's model."""
    return serve()


def field(page, name):
    """Return the control with this label."""
    return page.get_by_label(name, exact=True)


def ask(url, row):
    """Return what POST /predict answers."""
    content = json.dumps({"features": row}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url + "/predict?explain=true", content, headers)
    ) as answer:
        return json.load(answer)


def submit(page):
    """Submit the form and return the prediction that is shown."""
    with page.expect_response("**/predict?explain=true"):
        page.get_by_role("button", name="Predict").click()
    return shown(page)


def shown(page):
    """Return the prediction that is shown, once the values were not changed since."""
    expect(page.locator("#answer:not(.old) .best")).to_be_visible()
    return page.locator(".best").text_content()


def probabilities(page):
    """Return the bars that are shown, by their labels."""
    bars = page.locator("#answer .bars li").all()
    return {
        bar.locator("span").first.text_content(): bar.locator("data").text_content() for bar in bars
    }


def percents(answer):
    """Return the probabilities of an answer as the page shows them."""
    shown = {}
    for label, share in answer["probabilities"].items():
        small = "< 0.1 %" if share else "0.0 %"
        large = "> 99.9 %" if share < 1 else "100.0 %"
        shown[label] = (
            small if share < 0.001 else large if share > 0.999 else f"{100 * share:.1f} %"
        )
    return shown


def has_no_sideways_scrolling(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_row_is_filled_in_and_sent_by_keyboard(open_page, sample):
    page = open_page(sample)
    field(page, "contract_type").focus()
    page.keyboard.type("Mon")
    field(page, "age").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("24")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.labels[0].textContent") == "region"
    field(page, "monthly_charge").fill("99.5")
    field(page, "signup_date").fill("2024-02-29")
    field(page, "paperless").select_option("yes")
    field(page, "data_gb").fill("")
    with page.expect_request("**/predict?explain=true") as sent:
        field(page, "support_calls").press("Enter")
    row = sent.value.post_data_json["features"]
    assert row["contract_type"] == "Monthly"
    assert row["age"] == 24
    assert row["monthly_charge"] == 99.5
    assert row["signup_date"] == "2024-02-29"
    assert row["paperless"] is True
    assert "data_gb" not in row
    assert shown(page) == ask(sample, row)["prediction"]
    answer = ask(sample, row)
    assert probabilities(page) == percents(answer)
    reasons = page.locator("#effects li").all_text_contents()
    first = answer["explanation"][0]
    assert reasons[0].startswith(f"{first['column']} ")
    verb = "raises" if first["effect"] > 0 else "lowers"
    assert f" {verb} the probability of {answer['prediction']} by " in reasons[0]
    assert page.url == sample + "/"


def test_the_example_is_answered_and_comes_back(open_page, sample):
    page = open_page(sample)
    controls = page.locator("[data-column]").all()
    example = [control.input_value() for control in controls]
    assert all(example)
    assert submit(page) in {"No", "Yes"}
    field(page, "age").fill("99")
    expect(page.locator("#answer.old")).to_be_visible()
    page.get_by_role("button", name="Typical row").click()
    assert [control.input_value() for control in controls] == example


def test_each_problem_is_shown_at_its_field(open_page, sample):
    page = open_page(sample, expected="status of 422")
    field(page, "age").fill("7")
    field(page, "last_payment_date").fill("1999-12-31")
    page.get_by_role("button", name="Predict").click()
    age, paid = field(page, "age"), field(page, "last_payment_date")
    expect(age).to_have_accessible_description("years · 18 to 110 is below 18")
    expect(age).to_have_attribute("aria-invalid", "true")
    expect(age).to_be_focused()
    expect(paid).to_have_accessible_description("1/1/2010 to 12/31/2035 is below 2010-01-01")
    assert page.locator("[aria-invalid]").count() == 2
    age.fill("70")
    paid.fill("2020-12-31")
    submit(page)
    assert page.locator("[aria-invalid]").count() == 0
    assert "".join(page.locator(".problem").all_text_contents()) == ""


def test_half_a_number_is_reported_at_its_field(open_page, sample):
    page = open_page(sample)
    field(page, "age").fill("")
    field(page, "age").press_sequentially("1e")
    field(page, "age").press("Enter")
    expect(field(page, "age")).to_have_accessible_description(
        "years · 18 to 110 should be a number"
    )


@pytest.mark.parametrize(
    ("status", "detail"),
    [(503, "no model at models/model.onnx; run: uv run train"), (413, "too large")],
)
def test_another_error_is_one_line(open_page, sample, status, detail):
    page = open_page(sample, expected=f"status of {status}")
    page.route(
        "**/predict?explain=true",
        lambda route: route.fulfill(status=status, json={"detail": detail}),
    )
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_have_text(f"{status}: {detail}")


def test_an_answer_that_is_not_json_is_reported_too(open_page, sample):
    page = open_page(sample, expected="status of 502")
    page.route(
        "**/predict?explain=true",
        lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"),
    )
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_have_text("502: Bad Gateway")


def test_no_answer_is_reported_too(open_page, sample):
    page = open_page(sample, expected="net::ERR_FAILED")
    page.route("**/predict?explain=true", lambda route: route.abort())
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_have_text("The server does not answer. Is it running?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_everything_has_a_name_and_can_be_read(open_page, sample, width, scheme):
    page = open_page(sample, width=width, scheme=scheme)
    submit(page)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(DANGLING) == []
    assert page.evaluate(TWICE) == []
    assert page.evaluate(FAINT) == []
    assert has_no_sideways_scrolling(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) < 80) == (scheme == "dark")


def test_the_model_is_described_and_its_card_is_linked(open_page, sample):
    page = open_page(sample, width=1680)
    model = page.get_by_role("region", name="Model")
    with urllib.request.urlopen(sample + "/health") as answer:
        health = json.load(answer)
    expect(model).to_contain_text("gradient boosting")
    row = model.get_by_role("row", name="ROC AUC")
    expect(row.get_by_role("cell").first).to_contain_text(f"{health['metrics']['roc_auc']:.4g}")
    expect(row.get_by_role("cell")).to_have_count(2)
    page.get_by_role("link", name="Model card").click()
    expect(page.locator("h1")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/docs/swagger-ui-bundle.js"])
def test_the_security_headers_are_strict(sample, path):
    with urllib.request.urlopen(sample + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_is_tried_out_offline(open_page, sample, scheme):
    page = open_page(sample, "/docs", width=360, scheme=scheme)
    page.get_by_role("button", name="Health").first.click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text('"target": "churned"')
    assert has_no_sideways_scrolling(page)


def test_names_and_labels_may_be_hostile(open_page, serve):
    draw = random.Random(0)
    rows = []
    for _ in range(300):
        numbers = [round(draw.uniform(-5, 5), 2) for _ in HOSTILE[:-1]]
        category = draw.choice(["<b>", '"', "x' onfocus='alert(1)"])
        rows.append([*numbers, category, LABELS[int(numbers[0] > 0) + (numbers[1] > 0)]])
    url = serve([*HOSTILE, "<b>target</b>"], rows)
    page = open_page(url, width=360)
    columns = [
        control.get_attribute("data-column") for control in page.locator("[data-column]").all()
    ]
    assert columns == HOSTILE
    assert page.locator("label").all_text_contents() == HOSTILE
    expect(page.locator("header")).to_contain_text("Predicts <b>target</b>")
    with page.expect_request("**/predict?explain=true") as sent:
        prediction = submit(page)
    row = json.loads(sent.value.post_data)["features"]
    assert list(row) == HOSTILE
    assert prediction == ask(url, row)["prediction"]
    assert probabilities(page) == percents(ask(url, row))
    assert page.evaluate(UNNAMED) == page.evaluate(DANGLING) == []
    assert has_no_sideways_scrolling(page)


def test_a_number_is_predicted_from_many_columns(open_page, serve):
    draw = random.Random(0)
    names = [f"a_column_number_{number}" for number in range(200)]
    rows = [[round(draw.gauss(0, 1), 3) for _ in names] for _ in range(200)]
    url = serve([*names, "y"], [[*row, 1000 * row[0] + row[1]] for row in rows])
    page = open_page(url, width=360)
    with page.expect_request("**/predict?explain=true") as sent:
        shown = float(submit(page).replace(",", ""))
    expected = ask(url, sent.value.post_data_json["features"])["prediction"]
    assert shown == pytest.approx(expected, rel=1e-5)
    assert page.locator("#answer .bars").count() == 0
    assert has_no_sideways_scrolling(page)
    page.get_by_label("Find a column").fill("number_19")
    expect(page.locator(".field:visible")).to_have_count(11)
    page.get_by_label("Find a column").fill("")
    expect(page.locator(".field:visible")).to_have_count(200)


def test_of_many_classes_the_likeliest_are_shown(open_page, serve):
    draw = random.Random(0)
    rows = [[number % 40 + draw.gauss(0, 1), f"class {number % 40}"] for number in range(1200)]
    page = open_page(serve(["x", "y"], rows))
    prediction = submit(page)
    bars = probabilities(page)
    assert len(bars) == 11
    assert next(iter(bars)) == prediction
    assert list(bars)[-1] == "30 others are less likely"
