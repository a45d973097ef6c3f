"""The README's pictures: of the page and of a report, drawn from the sample by the browser.

A picture that no longer shows what there is, or that is gone, is drawn anew, and its test fails
once: look at the picture, and commit it.
"""

import hashlib
import json
import re
import shutil
from io import BytesIO

import pytest
from conftest import PATIENCE, TEMPLATE
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect, sync_playwright
from test_readme import block
from test_serving import free_port, wait_until_it_answers

PICTURES = TEMPLATE / "pictures"
LARGEST = 150_000  # bytes
# From one element to another: the place on the page, and what stands there. A range's own
# rectangle would take in what is folded away.
BETWEEN = """([top, bottom]) => {
  const range = document.createRange();
  range.setStartBefore(top);
  range.setEndAfter(bottom);
  const { y } = top.getBoundingClientRect();
  const height = bottom.getBoundingClientRect().bottom - y;
  return { y, height, text: range.toString() };
}"""


def words(text):
    """Return the words of a text, without numbers and the fingerprint of a model."""
    return re.findall(r"[a-z_]+", re.sub(r"\b[0-9a-f]{8}\b", "", text.lower()))


def figures(text):
    """Return the shares, and the means in a table; the seconds of a run are always others."""
    found = re.findall(r"([\d.]+) (?:%|\d\.\d{3} \d+\.\d{3}\b)", text)
    return [float(number) for number in found]


def difference(kept, shown):
    """Say in what two pictures differ, but for dots: browsers and fonts are of many versions."""
    if kept["style"] != shown["style"]:
        return "its style sheet"
    if words(kept["text"]) != words(shown["text"]):
        return "its words"
    same = figures(kept["text"]) == pytest.approx(figures(shown["text"]), rel=0.1)
    return None if same else "its figures"


def check_picture(page, name, top, bottom, style, margin=0):
    """Compare a picture with the page from one element to another, or draw it anew and fail."""
    place = page.evaluate(BETWEEN, [top.element_handle(), bottom.element_handle()])
    shown = {
        "style": hashlib.sha256(style.read_text(encoding="utf-8").encode()).hexdigest(),
        "text": " ".join(place["text"].split()),
    }
    assert figures(shown["text"])
    path, why = PICTURES / name, "it was not there"
    if path.exists():
        with Image.open(path) as picture:
            why = difference(json.loads(picture.text["shown"]), shown)
    if why:
        draw(page, path, place["y"] - margin, place["height"] + 2 * margin, shown)
    assert path.stat().st_size <= LARGEST
    assert why is None, f"pictures/{name} is drawn anew, {why}: look at it, and commit it"


def draw(page, path, y, height, shown):
    """Draw a part of the page in few colours, and keep with it what it shows."""
    clip = {"x": 0, "y": y, "width": page.viewport_size["width"], "height": height}
    picture = Image.open(BytesIO(page.screenshot(full_page=True, clip=clip)))
    about = PngInfo()
    about.add_itxt("shown", json.dumps(shown), zip=True)
    picture = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    path.parent.mkdir(exist_ok=True)
    picture.save(path, optimize=True, pnginfo=about)


@pytest.fixture
def open_page():
    """Open a page in the machine's own Chromium, for screens with narrow dots."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        assert path, "chromium is needed to draw the pictures"
        expect.set_options(timeout=PATIENCE * 1000)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])

        def open_page(url, width):
            size = {"width": width, "height": 2_000}  # nothing scrolls
            page = browser.new_page(viewport=size, color_scheme="light", device_scale_factor=2)
            page.goto(url)
            return page

        yield open_page
        browser.close()


@pytest.mark.slow
def test_the_picture_of_the_page_shows_the_answer_to_the_readme_s_row(open_page, trained):
    row = re.search("{.*}", block(trained.path / "README.md", "curl"))[0]
    port = free_port()
    server = trained.start("app.py", "--port", str(port))
    try:
        wait_until_it_answers(server, port)
        page = open_page(f"http://127.0.0.1:{port}", 1280)
        for name, value in json.loads(row)["features"].items():
            field = page.get_by_label(name, exact=True)
            is_list = field.evaluate("field => field.matches('select')")
            (field.select_option if is_list else field.fill)(str(value))
        page.get_by_role("button", name="Predict").click()
        expect(page.locator(".best")).to_have_text("Yes")
        style = trained.path / "src/customer_churn/service/static/page.css"
        top, bottom = page.locator("header"), page.get_by_role("row", name="ROC AUC")
        check_picture(page, "page.png", top, bottom, style)
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


@pytest.mark.slow
def test_the_picture_of_a_report_shows_the_models_compared(open_page, trained):
    notebook = "03_model_prototyping"
    result = trained.run(trained.python.with_name("report"), f"notebooks/{notebook}.ipynb")
    assert result.returncode == 0, result.stderr
    page = open_page((trained.path / "reports" / f"{notebook}.html").as_uri(), 800)
    top = page.get_by_role("heading", name="Cross-validation")
    bottom, style = page.locator("img").first, trained.path / "src/customer_churn/tools/report.css"
    check_picture(page, "report.png", top, bottom, style, margin=16)
