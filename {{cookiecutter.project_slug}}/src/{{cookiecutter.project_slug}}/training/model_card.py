"""Draw the model card: how a model was made, how good it is, and its limits."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..figures import draw_classes, draw_numbers, shorten
from ..utils import format_number

TEXT = Path("docs", "model-card.md")  # the part of the card that people write
DRAWN_ROWS = 5_000


def draw_card(record: dict, y: np.ndarray, outputs: np.ndarray, root: Path) -> str:
    """Return the model card as a page of HTML that needs nothing but itself.

    `record` is the content of the model's JSON file, `outputs` the model's answers to
    the test rows. At most `DRAWN_ROWS` of them are drawn.
    """
    drawn = np.random.default_rng(0).permutation(len(y))[:DRAWN_ROWS]
    given = y[drawn], outputs[drawn]
    if record["labels"]:
        figures = draw_classes(*given, record["labels"], record["threshold"])
    else:
        figures = draw_numbers(*given)

    text = read_text(root / TEXT)

    return render("model_card.html", **record, figures=figures, text=text)


def read_text(file: Path) -> list:
    """Return the headings of a Markdown file, each with the text below it."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.findall(r"^## +(.+)\n([\s\S]*?)(?=^## |\Z)", text, re.MULTILINE)


def render(template: str, **content: Any) -> str:
    """Return a page; all text in it is escaped, but not its figures."""
    files = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=files, autoescape=True, undefined=StrictUndefined)
    environment.filters.update(number=format_number, shorten=shorten)
    return environment.get_template(template).render(content)
