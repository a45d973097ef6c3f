"""What the notebooks share for looking: labels, figures, mutual information."""

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_string_dtype
from sklearn.feature_selection import mutual_info_classif

# Who can't tell red from green can tell these: Okabe and Ito, "Color Universal Design", 2008.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
REST = "#D0D0D0"  # what is not in the focus
PAPER = "white"  # behind every figure, so that it is as legible on a dark page

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.facecolor": PAPER,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 115,
    "figure.facecolor": PAPER,
    "font.size": 9,
    "grid.color": "#E4E4E4",
    "image.cmap": "Blues",
    "legend.frameon": False,
    "savefig.facecolor": PAPER,
    "savefig.pad_inches": 0.15,
    "text.parse_math": False,  # a $ is a $
}
PERIODS = {
    "day": 1.0,
    "week": 7.0,
    "month": 30.4,
    "quarter": 91.3,
    "year": 365.2,
}  # in days


def set_style() -> None:
    """Give all figures and tables one look, and read no $ as mathematics."""
    pd.options.display.html.use_mathjax = False
    plt.style.use(["default", STYLE])


def shorten(text: object, length: int = 40) -> str:
    """Put a text on one line, and leave out the middle of a long one."""
    line = " ".join(str(text).split())
    return (
        line
        if len(line) <= length
        else f"{line[: length // 2]}…{line[1 - length // 2 :]}"
    )


def fold(text: object, width: int = 32) -> str:
    """Break a text into lines, two or three at most."""
    return fill(shorten(text, 60), width)


def list_some(names: Iterable[object], most: int = 6) -> str:
    """Return the first of the names and how many more there are, or "none"."""
    every = [shorten(name) for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more or "none"


def show_number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that matter; a large one whole, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def panels(names: Sequence[str]) -> list[tuple[str, Axes]]:
    """Make one figure with a panel for each name, three in a row (of four: two)."""
    across = 2 if len(names) == 4 else min(3, len(names))
    height = -(-len(names) // max(1, across))
    figure = (
        plt.figure(figsize=(9 if across > 1 else 5, 2.5 * height)) if names else None
    )
    places = enumerate(names, start=1)
    return [
        (name, figure.add_subplot(height, across, place))
        for place, name in places
        if figure
    ]


def draw_bars(values: pd.Series, **look: Any) -> Axes:
    """Draw a horizontal bar for each value, the first on top, in a figure as high as they need."""
    count = len(values)
    _, ax = plt.subplots(figsize=(8, 0.9 + 0.28 * max(2, count)))
    ax.barh(range(count), values, **{"height": 0.75, **look})
    ax.set_yticks(range(count), [shorten(name) for name in values.index])
    ax.set_ylim(count - 0.4, -0.6)
    ax.tick_params("y", length=0)
    ax.spines.left.set_visible(False)
    ax.axvline(0, color="#666666", linewidth=0.8)
    return ax


def draw_matrix(matrix: pd.DataFrame, label: str) -> Axes:
    """Draw numbers from -1 to 1 as a table of colours, each written into its field."""
    names = [shorten(name, 28) for name in matrix]
    size = 3 + 0.42 * len(names)
    figure, ax = plt.subplots(figsize=(size + 1, size))
    image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr_r")
    figure.colorbar(image, label=label, shrink=0.8)
    ax.set_xticks(
        range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks(range(len(names)), names)
    for (y, x), value in np.ndenumerate(matrix.to_numpy()):
        color = "white" if abs(value) > 0.6 else "black"
        ax.text(
            x, y, f"{round(value, 1) + 0:.1f}", ha="center", va="center", color=color
        )
    return ax


def draw_over_time(
    ax: Axes, values: pd.Series, bars: bool = False, **look: Any
) -> None:
    """Draw values by their period, as a line or as bars; a period without a value is a gap."""
    periods = pd.period_range(values.index.min(), values.index.max())
    starts, lengths = periods.start_time, periods.end_time - periods.start_time
    if bars:
        days = lengths / pd.Timedelta(days=1)
        ax.bar(
            starts,
            values.reindex(periods, fill_value=0),
            days * 0.9,
            align="edge",
            **look,
        )
    else:
        ax.plot(starts + lengths / 2, values.reindex(periods), marker=".", **look)
    ax.set_xlim(date2num(starts[0]), date2num(periods.end_time[-1]))
    locator = AutoDateLocator(minticks=2, maxticks=5)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def choose_period(dates: pd.Series, most: int = 60) -> str:
    """Return the finest of day, week, month, quarter and year of which at most so many pass."""
    days = (dates.max() - dates.min()) / pd.Timedelta(days=1)
    return next(
        (name for name, length in PERIODS.items() if days <= most * length), "year"
    )


def to_periods(dates: pd.Series, period: str) -> pd.Series:
    """Return the period in which each date lies."""
    return dates.dt.to_period(period[0].upper())


def to_numbers(values: pd.Series) -> pd.Series:
    """Return numbers, booleans or dates as floats, a missing one as NaN."""
    if is_datetime64_any_dtype(values):
        values = values.astype("int64").where(values.notna())
    return values.astype(float)


def nearby(values: pd.Series) -> pd.Series:
    """Leave out what is far out: three interquartile ranges beyond the quartiles (Tukey, 1977)."""
    numbers = to_numbers(values)
    low, high = numbers.quantile([0.25, 0.75])
    reach = 3 * (high - low) or float("inf")
    return values[numbers.between(low - reach, high + reach)]


def cut(values: pd.Series) -> pd.Series:
    """Number the categories, and cut numbers into equal parts of the rows; a missing one is -1."""
    parts = min(10, max(3, int((len(values) / 5) ** 0.5)))  # of few rows only few
    if not (is_string_dtype(values) or is_bool_dtype(values)):
        values = values.rank(pct=True) * (parts - 0.01) // 1
    return pd.Series(pd.factorize(values)[0], index=values.index)


def signals(features: pd.DataFrame, target: Any) -> pd.Series:
    """Return the mutual information (Shannon, 1948) of each feature with the classes, in nats."""
    found = mutual_info_classif(features.apply(cut), target, discrete_features=True)
    return pd.Series(found, index=features.columns)


def find_constant(frame: pd.DataFrame, share: float = 0.99) -> list[str]:
    """Return the columns of which nearly all values are the same, or missing."""
    usual = {str(name): frame[name].value_counts(dropna=False).max() for name in frame}
    return [name for name, count in usual.items() if count >= share * len(frame)]


def find_twins(frame: pd.DataFrame, limit: float = 0.999) -> dict[str, str]:
    """Return each column that says the same as an earlier one, and that one.

    Categories and dates do that if they part the rows alike, as a code and its name do; numbers
    if their correlation is 1 or -1, as that of one size in two units is.
    """
    twins: dict[str, str] = {}
    first: dict[bytes, str] = {}
    numbers = {}
    for name, values in frame.items():
        if not (is_string_dtype(values) or is_datetime64_any_dtype(values)):
            numbers[str(name)] = to_numbers(values)
        elif (
            1 < values.nunique() <= len(values) / 2
        ):  # what is always different parts nothing
            twin = first.setdefault(pd.factorize(values)[0].tobytes(), str(name))
            twins |= {str(name): twin} if twin != name else {}
    likeness = pd.DataFrame(numbers).corr(min_periods=10).abs()
    for place, name in enumerate(numbers):
        earlier = likeness[name].iloc[:place]
        if (earlier > limit).any():
            twins[name] = str(earlier.idxmax())
    return twins
