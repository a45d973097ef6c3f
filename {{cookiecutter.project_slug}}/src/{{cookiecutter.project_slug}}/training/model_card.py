"""Draw the model card: how a model was made, how good it is, and its limits."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..evaluation import format_number
from ..prediction import name_label

TEMPLATES = Path(__file__).parent
TEXT = Path("docs", "model-card.md")  # the part of the card that people write
DRAWN_ROWS = 5_000
LONGEST = 60  # characters of a name

Figures = dict[str, str]  # SVG by title


def draw_card(
    record: Mapping[str, Any],
    y: np.ndarray,
    outputs: np.ndarray,
    root: Path,
) -> str:
    """Return the model card as a page of HTML that needs nothing but itself.

    `record` is the content of the model's JSON file, `outputs` the model's answers to
    the test rows. At most `DRAWN_ROWS` of them are drawn.
    """
    drawn = np.random.default_rng(0).permutation(len(y))[:DRAWN_ROWS]
    figures = draw_figures(record, y[drawn], outputs[drawn])
    text = read_text(root / TEXT)
    return render("model_card.html", **record, figures=figures, text=text)


def draw_figures(
    record: Mapping[str, Any], y: np.ndarray, outputs: np.ndarray
) -> Figures:
    """Return the figures of a classification or of a regression."""
    from .. import figures

    if not record["labels"]:
        return {
            "Actual and predicted": figures.as_svg(
                "predictions", figures.draw_predictions, y, outputs
            ),
            "Residuals": figures.as_svg(
                "residuals", figures.draw_residuals, y, outputs
            ),
        }
    shown = y, outputs, record["labels"]
    at_threshold = {"threshold": record["threshold"]}
    drawn = {
        "ROC curve": figures.as_svg("roc", figures.draw_roc_curve, *shown),
        "Precision and recall": figures.as_svg(
            "recall", figures.draw_precision_recall_curve, *shown
        ),
        "Calibration": figures.as_svg(
            "calibration", figures.draw_calibration_curve, *shown
        ),
        "Confusion matrix": figures.as_svg(
            "confusion", figures.draw_confusion_matrix, *shown, **at_threshold
        ),
    }
    if len(record["labels"]) == 2:
        drawn["Threshold"] = figures.as_svg(
            "threshold", figures.draw_thresholds, *shown, **at_threshold
        )
    return drawn


def read_text(file: Path) -> list[tuple[str, list[str]]]:
    """Return the headings of a Markdown file, each with its paragraphs."""
    if not file.exists():
        return []
    parts = re.split(r"^## +", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = []
    for part in parts[1:]:
        heading, _, body = part.partition("\n")
        paragraphs = [each.strip() for each in body.split("\n\n") if each.strip()]
        sections.append((heading.strip(), paragraphs))
    return sections


def render(template: str, **content: Any) -> str:
    """Return a page; all text in it is escaped, but not its figures."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        number=format_number, percent=show_share, shorten=shorten, svg=Markup
    )
    return environment.get_template(template).render(content)


def show_share(value: float) -> str:
    """Return a share in percent, a small one not as nothing."""
    if 0 < value < 0.001:
        return "under 0.1 %"
    return f"{100 * value:.1f} %"


def shorten(text: object, length: int = LONGEST) -> str:
    """Leave out the end of a long text."""
    line = name_label(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"
