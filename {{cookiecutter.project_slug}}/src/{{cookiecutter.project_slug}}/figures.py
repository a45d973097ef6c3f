"""Figures of the model card and of the drift report, drawn by scikit-learn, as SVG."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    confusion_matrix_at_thresholds,
)

from .prediction import choose_classes, name_label

MOST_CURVES, MOST_CLASSES, MOST_POINTS = 5, 12, 1_000
COLOR = "#4c8bd6"
STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "figure",  # the same ids each time
    "text.parse_math": False,
}

CURVES: dict = {  # by title: what draws it, how, and the names of its axes
    "ROC curve": (RocCurveDisplay, {}, "False positive rate", "True positive rate"),
    "Precision-recall curve": (
        PrecisionRecallDisplay,
        {"drop_intermediate": True},
        "Recall",
        "Precision",
    ),
    "Calibration": (
        CalibrationDisplay,
        {"n_bins": 10, "strategy": "quantile"},
        "Mean predicted probability",
        "Fraction of positives",
    ),
}


@contextmanager
def new_figure(figures: dict, title: str) -> Iterator:
    """Give axes to draw on, and keep them as SVG that can be part of a page.

    Text and axes have the colour of the page's text.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.6), layout="constrained")
        file = StringIO()
        yield figure.subplots()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})

    svg = re.sub(r"^.*?(?=<svg )", "", file.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|"#|url\(#)', rf"\1figure-{len(figures)}-", svg)
    figures[title] = svg.replace("#000000", "currentColor")


def draw_numbers(y: np.ndarray, outputs: np.ndarray) -> dict:
    """Draw actual numbers and residuals, both over predicted numbers."""
    figures: dict = {}
    sample: dict = {"subsample": MOST_POINTS, "random_state": 0}
    kinds = {"Actual and predicted": "actual", "Residuals": "residual"}
    for title, kind in kinds.items():
        with new_figure(figures, title) as ax:
            draw = PredictionErrorDisplay.from_predictions
            draw(y, outputs, kind=f"{kind}_vs_predicted", ax=ax, **sample)

    return figures


def draw_classes(
    y: np.ndarray, outputs: np.ndarray, labels: list, threshold: float | None
) -> dict:
    """Draw curves of the positive class, or of each frequent class, and errors."""
    figures: dict = {}
    counts = np.bincount(y, minlength=len(labels))
    frequent = np.argsort(-counts, kind="stable").tolist()
    curves = [code for code in frequent[:MOST_CURVES] if 0 < counts[code] < len(y)]
    if len(labels) == 2:
        curves = [1]

    for title, (display, options, x_label, y_label) in CURVES.items():
        with new_figure(figures, title) as ax:
            for code in curves:
                given = y == code, outputs[:, code]
                name = shorten(labels[code])
                display.from_predictions(*given, name=name, ax=ax, **options)
            ax.set(xlabel=x_label, ylabel=y_label)

    with new_figure(figures, "Confusion matrix") as ax:
        shown = sorted(frequent[:MOST_CLASSES])
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
        ax.set(xlabel="Predicted class", ylabel="True class")

    if len(labels) == 2:
        with new_figure(figures, "Threshold") as ax:
            draw_thresholds(y, outputs[:, 1], threshold, ax)
            ax.set_xlabel(f"Threshold for {shorten(labels[1])}")

    return figures


def draw_thresholds(y, probabilities, threshold: float | None, ax: Axes) -> None:
    """Draw precision, recall and the share of rows flagged at each threshold."""
    _, false, missed, true, thresholds = confusion_matrix_at_thresholds(
        y == 1, probabilities
    )
    curves = {
        "Precision": true / (true + false),
        "Recall": true / np.maximum(1, true + missed),
        "Share of positive predictions": (true + false) / len(y),
    }
    pd.DataFrame(curves, index=thresholds).plot(ax=ax)
    ax.axvline(
        0.5 if threshold is None else threshold, color="black", linestyle="dotted"
    )


def shorten(label: Any, length: int = 24) -> str:
    """Leave out the end of a long label."""
    text = name_label(label)
    return text if len(text) <= length else f"{text[: length - 1]}…"
