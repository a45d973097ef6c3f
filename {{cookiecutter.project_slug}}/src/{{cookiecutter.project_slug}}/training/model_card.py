"""Draw the model card: how a model was made, how good it is, and its limits.

Its figures are drawn by scikit-learn, as SVG.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    confusion_matrix_at_thresholds,
)

from ..prediction import choose_classes, name_label
from ..utils import format_number

TEXT = Path("docs", "model-card.md")  # the part of the card that people write
DRAWN_ROWS = 5_000
MOST_CURVES, MOST_CLASSES = 5, 12
STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",  # keep text as text
    "svg.hashsalt": "figure",  # reproducible ids
    "text.parse_math": False,
}

CURVES = {  # by title: what draws it, and the names of its axes
    "ROC curve": (
        RocCurveDisplay.from_predictions,
        "False positive rate",
        "True positive rate",
    ),
    "Precision-recall curve": (
        PrecisionRecallDisplay.from_predictions,
        "Recall",
        "Precision",
    ),
    "Calibration": (
        partial(CalibrationDisplay.from_predictions, n_bins=10, strategy="quantile"),
        "Mean predicted probability",
        "Fraction of positives",
    ),
}


def draw_card(record: dict, y: np.ndarray, outputs: np.ndarray, root: Path) -> str:
    """Return the model card as a page of HTML that needs nothing but itself.

    `record` is the content of the model's JSON file, `outputs` the model's answers to
    the test rows. At most `DRAWN_ROWS` of them are drawn.
    """
    drawn = np.random.default_rng(0).permutation(len(y))[:DRAWN_ROWS]
    given = y[drawn], outputs[drawn]
    if record["labels"]:
        figures = _draw_classes(*given, record["labels"], record["threshold"])
    else:
        figures = _draw_numbers(*given)

    text = _read_text(root / TEXT)

    return render("model_card.html", **record, figures=figures, text=text)


def _read_text(file: Path) -> list:
    """Return the headings of a Markdown file, each with the text below it."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.findall(r"^## +(.+)\n([\s\S]*?)(?=^## |\Z)", text, re.MULTILINE)


def render(template: str, **content: Any) -> str:
    """Return a page; all text in it is escaped, but not its figures."""
    files = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=files, autoescape=True, undefined=StrictUndefined)
    environment.filters.update(number=format_number, shorten=shorten)
    return environment.get_template(template).render(content)


@contextmanager
def _new_figure(figures: dict, title: str) -> Iterator:
    """Yield axes to draw on, and keep them as SVG that can be part of a page.

    Text and axes have the colour of the page's text.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.6), layout="constrained")
        file = StringIO()
        yield figure.subplots()
        figure.savefig(file, format="svg", transparent=True)

    _, svg, body = file.getvalue().partition("<svg ")
    svg += re.sub(r"<(metadata|style).*?</\1>", "", body, flags=re.DOTALL)
    svg = re.sub(r'( id="|"#|url\(#)', rf"\1figure-{len(figures)}-", svg)
    figures[title] = svg.replace("#000000", "currentColor")


def _draw_numbers(y: np.ndarray, outputs: np.ndarray) -> dict:
    """Draw actual numbers and residuals, both over predicted numbers.

    `y` and `outputs` have the shape (rows,). Returns SVG by title.
    """
    draw = partial(PredictionErrorDisplay.from_predictions, y, outputs, random_state=0)
    figures: dict = {}
    with _new_figure(figures, "Actual and predicted") as ax:
        draw(kind="actual_vs_predicted", ax=ax)
    with _new_figure(figures, "Residuals") as ax:
        draw(kind="residual_vs_predicted", ax=ax)

    return figures


def _draw_classes(
    y: np.ndarray, outputs: np.ndarray, labels: list, threshold: float | None
) -> dict:
    """Draw curves of the positive class, or of each frequent class, and errors.

    `y` holds positions in `labels`, shape (rows,), and `outputs` probabilities, shape
    (rows, classes). Returns SVG by title.
    """
    figures: dict = {}
    counts = np.bincount(y, minlength=len(labels))
    frequent = np.argsort(-counts, kind="stable")
    codes = [1] if len(labels) == 2 else frequent[:MOST_CURVES]
    curves = [code for code in codes if 0 < counts[code] < len(y)]

    for title, (draw, xlabel, ylabel) in CURVES.items():
        with _new_figure(figures, title) as ax:
            for code in curves:
                name = shorten(labels[code])
                draw(y == code, outputs[:, code], name=name, ax=ax)
            ax.set(xlabel=xlabel, ylabel=ylabel)

    with _new_figure(figures, "Confusion matrix") as ax:
        shown = np.sort(frequent[:MOST_CLASSES])
        ConfusionMatrixDisplay.from_predictions(
            y,
            choose_classes(outputs, threshold),
            labels=shown,
            display_labels=[shorten(labels[code], 16) for code in shown],
            xticks_rotation=45,
            values_format=",d",
            cmap="Blues",
            colorbar=False,
            ax=ax,
        )

    if len(labels) == 2:
        with _new_figure(figures, "Threshold") as ax:
            in_use = 0.5 if threshold is None else threshold
            _draw_thresholds(y, outputs[:, 1], in_use, ax)
            ax.set_xlabel(f"Threshold for {shorten(labels[1])}")

    return figures


def _draw_thresholds(y: np.ndarray, outputs: np.ndarray, threshold: float, ax) -> None:
    """Draw precision, recall and the share of rows flagged at each threshold."""
    _, false_positives, _, true_positives, thresholds = confusion_matrix_at_thresholds(
        y, outputs
    )
    flagged = true_positives + false_positives
    curves = {
        "Precision": true_positives / flagged,
        "Recall": true_positives / max(1, np.sum(y)),
        "Share of positive predictions": flagged / len(y),
    }
    pd.DataFrame(curves, index=thresholds).plot(ax=ax)
    ax.axvline(threshold, color="black", linestyle="dotted", label="In use")
    ax.legend()


def shorten(label: Any, length: int = 24) -> str:
    """Leave out the end of a long label."""
    text = name_label(label)
    return text if len(text) <= length else f"{text[: length - 1]}…"
