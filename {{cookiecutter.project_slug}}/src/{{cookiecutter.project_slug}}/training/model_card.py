"""Draw the model card: how a model was made, how good it is, and its limits."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..evaluation import format_number

TEMPLATES = Path(__file__).parent
TEXT = Path("docs", "model-card.md")  # the part of the card that people write
DRAWN_ROWS = 5_000


def draw_card(record: dict, y: np.ndarray, outputs: np.ndarray, root: Path) -> str:
    """Return the model card as a page of HTML that needs nothing but itself.

    `record` is the content of the model's JSON file, `outputs` the model's answers to
    the test rows. At most `DRAWN_ROWS` of them are drawn.
    """
    from ..figures import draw_classes, draw_numbers

    drawn = np.random.default_rng(0).permutation(len(y))[:DRAWN_ROWS]
    y = y[drawn]
    outputs = outputs[drawn]
    labels = record["labels"]
    if labels:
        figures = draw_classes(y, outputs, labels, record["threshold"])
    else:
        figures = draw_numbers(y, outputs)

    text = read_text(root / TEXT)

    return render("model_card.html", **record, figures=figures, text=text)


def read_text(file: Path) -> list:
    """Return the headings of a Markdown file, each with the text below it."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.findall(r"^## +(.+)\n([\s\S]*?)(?=^## |\Z)", text, re.MULTILINE)


def render(template: str, **content: Any) -> str:
    """Return a page; all text in it is escaped, but not its figures."""
    from ..figures import shorten

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(number=format_number, shorten=shorten)
    return environment.get_template(template).render(content)
