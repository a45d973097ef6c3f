"""Figures that show how good a model is, one function each, drawn by scikit-learn.

Each takes the targets and the outputs of rows that the model was not trained on, and
draws on the given axes or, in a notebook, on new ones.
"""

import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
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
INK, COLOR = "#010101", "#4c8bd6"  # black, which matplotlib would leave out
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "figure",  # the same ids each time
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}

Array = np.ndarray


def draw_roc_curve(
    y: Array, outputs: Array, labels: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw the ROC curve of the positive class, or of each frequent class."""
    for position in _classes_to_draw(y, labels):
        display = RocCurveDisplay.from_predictions(
            y == position,
            outputs[:, position],
            name=_shorten(labels[position]),
            plot_chance_level=ax is None or not ax.lines,
            ax=ax,
        )
        ax = display.ax_
    return _label(ax, "False positive rate", "True positive rate")


def draw_precision_recall_curve(
    y: Array, outputs: Array, labels: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw precision over recall of the positive class, or of each frequent class."""
    for position in _classes_to_draw(y, labels):
        display = PrecisionRecallDisplay.from_predictions(
            y == position,
            outputs[:, position],
            name=_shorten(labels[position]),
            drop_intermediate=True,
            ax=ax,
        )
        ax = display.ax_
    return _label(ax, "Recall", "Precision")


def draw_calibration_curve(
    y: Array, outputs: Array, labels: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw how often a predicted probability came true, in ten bins of equal size."""
    is_true, probabilities = y == 1, outputs[:, 1]
    name = _shorten(labels[1])
    if len(labels) > 2:
        is_true, probabilities = y == outputs.argmax(axis=1), outputs.max(axis=1)
        name = "most likely class"
    display = CalibrationDisplay.from_predictions(
        is_true, probabilities, n_bins=10, strategy="quantile", name=name, ax=ax
    )
    return _label(display.ax_, "Mean predicted probability", "Share that came true")


def draw_confusion_matrix(
    y: Array,
    outputs: Array,
    labels: Sequence[Any],
    ax: Axes | None = None,
    threshold: float | None = None,
) -> Axes:
    """Draw the number of rows by true and by predicted class.

    Of many classes the rarer ones are drawn as one.
    """
    frequent = np.argsort(-np.bincount(y, minlength=len(labels)), kind="stable")
    shown = np.sort(frequent[:MOST_CLASSES]).tolist()
    names = [_shorten(labels[position], 16) for position in shown]
    places = np.full(len(labels), len(shown))
    places[shown] = np.arange(len(shown))
    if len(labels) > len(shown):
        names.append("others")
    display = ConfusionMatrixDisplay.from_predictions(
        places[y],
        places[choose_classes(outputs, threshold)],
        labels=np.arange(len(names)),
        display_labels=names,
        xticks_rotation=45 if len(names) > 4 else "horizontal",
        values_format=",d",
        cmap="Blues",
        colorbar=False,
        ax=ax,
    )
    return _label(display.ax_, "Predicted class", "True class")


def draw_thresholds(
    y: Array,
    outputs: Array,
    labels: Sequence[Any],
    ax: Axes | None = None,
    threshold: float | None = None,
) -> Axes:
    """Draw precision, recall and the share of rows flagged at each threshold."""
    _, false, missed, true, thresholds = confusion_matrix_at_thresholds(
        y == 1, outputs[:, 1]
    )
    ax = ax or plt.subplots()[1]
    ax.plot(thresholds, true / (true + false), label="Precision")
    ax.plot(thresholds, true / np.maximum(1, true + missed), label="Recall")
    ax.plot(thresholds, (true + false) / len(y), label="Share flagged")
    ax.axvline(0.5 if threshold is None else threshold, color=INK, linestyle="dotted")
    ax.legend()
    return _label(ax, f"Threshold for {_shorten(labels[1])}", "")


def draw_predictions(y: Array, outputs: Array, ax: Axes | None = None) -> Axes:
    """Draw actual over predicted numbers."""
    return _draw_errors(y, outputs, "actual_vs_predicted", ax)


def draw_residuals(y: Array, outputs: Array, ax: Axes | None = None) -> Axes:
    """Draw residuals, which are actual minus predicted, over predicted numbers."""
    return _draw_errors(y, outputs, "residual_vs_predicted", ax)


def _draw_errors(y: Array, outputs: Array, kind: Any, ax: Axes | None) -> Axes:
    """Draw one kind of scikit-learn's figures of prediction errors."""
    display = PredictionErrorDisplay.from_predictions(
        y,
        outputs,
        kind=kind,
        subsample=MOST_POINTS,
        random_state=0,
        scatter_kwargs={"s": 8, "color": COLOR},
        ax=ax,
    )
    return display.ax_


def draw_shift(
    then: Sequence[float], now: Sequence[float], names: Sequence[str], ax: Axes
) -> Axes:
    """Draw the shares of rows in the bins of a column, in training and now."""
    places = np.arange(len(names))
    ax.bar(places - 0.2, then, width=0.4, label="Training", color="#9aa5b1")
    ax.bar(places + 0.2, now, width=0.4, label="Now", color=COLOR)
    ax.set_xticks(places, names, rotation=45, ha="right")
    ax.legend()
    return _label(ax, "", "Share of rows")


def as_svg(name: str, draw: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """Return a figure as SVG that can be part of a page, beside others.

    Text and axes have the colour of the page's text.
    """
    with rc_context(STYLE):
        figure, file = Figure(figsize=(4.4, 3.6), layout="constrained"), StringIO()
        draw(*arguments, ax=figure.subplots(), **more)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg )", "", file.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|"#|url\(#)', rf"\1{name}-", svg)
    return svg.replace(INK, "currentColor").replace("#000000", "currentColor")


def _classes_to_draw(y: Array, labels: Sequence[Any]) -> list[int]:
    """Return the positive one of two classes, or the most frequent of more."""
    if len(labels) == 2:
        return [1]
    rows = np.bincount(y, minlength=len(labels))
    frequent = np.argsort(-rows, kind="stable")[:MOST_CURVES].tolist()
    return [position for position in frequent if 0 < rows[position] < len(y)]


def _label(ax: Axes | None, x: str, y: str) -> Axes:
    """Name the axes."""
    ax = ax or plt.subplots()[1]
    ax.set(xlabel=x, ylabel=y)
    return ax


def _shorten(label: Any, length: int = 24) -> str:
    """Return a label that fits into a figure."""
    text = name_label(label)
    return text if len(text) <= length else f"{text[: length - 1]}…"
