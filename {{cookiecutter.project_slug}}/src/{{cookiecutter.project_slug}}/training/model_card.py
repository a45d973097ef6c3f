"""Draw the model card: one page on how a model came about, how good it is and where it is weak.

It is made from the model's JSON alone. Figures hold numbers and fixed words; the text of the data,
such as a label, stands in the page, where Jinja escapes it.
"""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..prediction import name_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATE = Path(__file__).with_name("model_card.html")

# Each colour is drawn as it is on a light page, and written as the page's own variable.
INK, FAINT, LINE = "#1c2024", "#667079", "#dde1e6"
HUES = ["#1f5fbf", "#b3541e", "#2b7a3d", "#7a3e9d", "#00737f", "#8a5a00"]
COLORS = {INK: "ink", FAINT: "faint", LINE: "line"} | {
    c: f"hue-{n}" for n, c in enumerate(HUES)
}

Curves = Mapping[str, Any]

# What matplotlib writes that must not stand in a page: the head of a file, the date, rules, fonts.
NOT_OURS = r'^.*?(?=<svg )|<(metadata|style).*?</\1>| font-family: [^;"]*;?'

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.formatter.limits": [-3, 4],
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.subplot.bottom": 0.13,
    "figure.subplot.left": 0.155,
    "figure.subplot.right": 0.98,
    "figure.subplot.top": 0.95,
    "font.size": 9,
    "grid.color": LINE,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text, in the page's font
    "svg.hashsalt": "model card",  # the same ids each time
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
}


def draw_card(card: Mapping[str, Any]) -> str:
    """Return the model card as a page of HTML that needs nothing but itself."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(number=show_number, percent=show_share, label=name_label)
    environment.filters["brief"] = shorten
    figures = draw_figures(card["curves"])
    template = environment.get_template(TEMPLATE.name)
    return template.render(card, figures=figures)


def show_number(value: float | None, like: float | None = None) -> str:
    """Return a number with the decimals that it, or one like it, needs for three digits."""
    if value is None:
        return "not defined"
    size = abs(value if like is None else like) or 1
    decimals = 2 - floor(log10(size))
    return f"{value:z,.{max(0, decimals)}f}" if decimals < 8 else f"{value:.2e}"


def show_share(value: float) -> str:
    """Return a share in percent, a small one not as nothing."""
    return (
        "under 0.1 %" if 0 < value < 0.001 else f"{100 * value:.{int(value < 0.1)}f} %"
    )


def shorten(text: object, length: int = 60) -> str:
    """Leave out the middle of a long text."""
    line = name_label(text)
    return (
        line
        if len(line) <= length
        else f"{line[: length // 2]}…{line[1 - length // 2 :]}"
    )


def draw_figures(curves: Curves) -> dict[str, Markup]:
    """Return each figure there is something to draw for, by its name."""
    painters: dict[str, tuple[str, Callable[[Axes, Curves], None]]] = {
        "roc": ("roc", paint_roc),
        "precision_recall": ("precision_recall", paint_precision_recall),
        "calibration": ("calibration", paint_calibration),
        "predicted": ("sample", paint_predicted),
        "errors": ("errors", paint_errors),
    }
    return {
        n: draw(n, paint, curves)
        for n, (part, paint) in painters.items()
        if curves.get(part)
    }


def draw(name: str, paint: Callable[["Axes", Curves], None], curves: Curves) -> Markup:
    """Return a figure as SVG that is the same each time and can stand beside others in a page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure, file = Figure(figsize=(4.4, 3.6)), StringIO()
        paint(figure.subplots(), curves)
        figure.savefig(file, format="svg", transparent=True)
    svg = re.sub(NOT_OURS, "", file.getvalue(), flags=re.DOTALL)
    svg = re.sub(r'( id="|"#|url\(#)', rf"\1{name}-", svg)
    for color, variable in COLORS.items():
        svg = svg.replace(color, f"var(--{variable})")
    return Markup(svg)


def paint_square(axes: "Axes", x: str, y: str, diagonal: bool) -> None:
    """Name the axes of a figure whose axes go from 0 to 1."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="dotted")


def paint_roc(axes: "Axes", curves: Curves) -> None:
    """Paint how many of the others are taken for the class, to find so many of it."""
    x, y = "others taken for it (false positive rate)", "found (true positive rate)"
    paint_square(axes, x, y, True)
    for curve, color in reversed(list(zip(curves["roc"], HUES, strict=False))):
        axes.plot(curve["x"], curve["y"], color=color)


def paint_precision_recall(axes: "Axes", curves: Curves) -> None:
    """Paint how many of those taken for the class are of it, when so many of it are found."""
    x, y = "found (recall)", "right among those taken for it (precision)"
    paint_square(axes, x, y, False)
    for curve, color in reversed(
        list(zip(curves["precision_recall"], HUES, strict=False))
    ):
        axes.step(curve["x"], curve["y"], where="pre", color=color)
    if len(curves["rows"]) == 2:
        share = curves["rows"][curves["precision_recall"][0]["class"]] / sum(
            curves["rows"]
        )
        axes.axhline(share, color=FAINT, linewidth=1, linestyle="dotted")


def paint_calibration(axes: "Axes", curves: Curves) -> None:
    """Paint how often a probability came true."""
    paint_square(axes, "probability given", "share that came true", True)
    part = curves["calibration"]
    axes.vlines(part["x"], part["low"], part["high"], color=HUES[0], linewidth=1)
    axes.plot(part["x"], part["y"], color=HUES[0], marker="o", markersize=4)


def paint_predicted(axes: "Axes", curves: Curves) -> None:
    """Paint the actual numbers over the predicted ones."""
    x, y = curves["sample"]["predicted"], curves["sample"]["actual"]
    axes.set(xlabel="predicted", ylabel="actual")
    axes.scatter(x, y, s=8, color=HUES[0], alpha=0.45, linewidths=0)
    ends = [min(*x, *y), max(*x, *y)]
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle="dotted")


def paint_errors(axes: "Axes", curves: Curves) -> None:
    """Paint the errors over the predicted numbers, with their quantiles."""
    x, y, part = (
        curves["sample"]["predicted"],
        curves["sample"]["actual"],
        curves["errors"],
    )
    errors = [actual - predicted for actual, predicted in zip(y, x, strict=True)]
    axes.set(xlabel="predicted", ylabel="actual minus predicted")
    axes.axhline(0, color=FAINT, linewidth=1, linestyle="dotted")
    axes.scatter(x, errors, s=8, color=FAINT, alpha=0.35, linewidths=0)
    axes.plot(part["x"], part["middle"], color=HUES[0], marker="o", markersize=4)
    axes.vlines(part["x"], part["low"], part["high"], color=HUES[0], linewidth=1)
