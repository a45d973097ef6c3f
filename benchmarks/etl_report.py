"""Write what was measured of the ETLs: tables in Markdown and a plot."""

import math
import platform
from datetime import date
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator
from report import RESULTS, format_goals, format_table, processor

COLOURS = {"ours": "#d1495b", "ours-dask": "#edae49", "article": "#888888"}
OTHERS = ("#30638e", "#00798c", "#003d5b", "#6a994e", "#8367c7")


class Result(NamedTuple):
    """What was measured with one raw table."""

    figures: dict[str, dict[str, float]]  # medians by engine
    stopped: dict[str, str]  # engines without figures, and why
    kept: int  # rows, the same of all engines


def times(results, name, key):
    """Return how many times as large a figure is with the largest table as with the smallest."""
    if len(results) == 1:
        raise KeyError("nothing to compare with")
    small, large = (results[rows].figures[name][key] for rows in (min(results), max(results)))
    return large / small


def share(results, rows, other):
    """Return our time as a share of another engine's."""
    figures = results[rows].figures
    return figures["ours"]["seconds"] / figures[other]["seconds"]


# What is asked for: a name, how it is computed, the limit and its direction.
GOALS = (
    ("peak memory, largest table / smallest", lambda r: times(r, "ours", "peak"), "<=", 1.5),
    (
        "2,000,000 rows: seconds / those of the article's script",
        lambda r: share(r, 2_000_000, "article"),
        "<=",
        0.5,
    ),
    (
        "largest table: seconds / those of DuckDB with 500 MB",
        lambda r: share(r, max(r), "duckdb-500MB"),
        "<=",
        1,
    ),
)


def bold(name, titles):
    """Return the title of an engine; ours stands out."""
    return f"**{titles[name]}**" if name.startswith("ours") else titles[name]


def format_size(result, titles):
    """Return the table of all engines for one raw table, the fastest first."""
    head = ["", "s", "/ article's script", "/ DuckDB, 500 MB"]
    head += ["processor s", "peak MiB", "largest process MiB"]
    lines = []
    for name, each in sorted(result.figures.items(), key=lambda item: item[1]["seconds"]):
        cells = [bold(name, titles), f"{each['seconds']:.2f}"]
        for other in ("article", "duckdb-500MB"):
            seconds = result.figures.get(other, {}).get("seconds")
            cells.append(f"{each['seconds'] / seconds:.2f}" if seconds else "–")
        cells += [f"{each['cpu']:.1f}", f"{each['peak']:,.0f}", f"{each['largest']:,.0f}"]
        lines.append(cells)
    for name, reason in result.stopped.items():
        lines.append([bold(name, titles), reason, *["–"] * (len(head) - 2)])
    return format_table(head, lines)


def format_growth(results, titles):
    """Return how time and memory grow from the smallest table to the largest."""
    small, large = min(results), max(results)
    head = ["", "peak ×", "MiB a further million", "time ×", "exponent", "s a further million"]
    lines = []
    for name in titles:
        if not all(name in results[rows].figures for rows in (small, large)):
            continue
        cells = [bold(name, titles)]
        for key, form in (("peak", ",.0f"), ("seconds", ".2f")):
            first, last = (results[rows].figures[name][key] for rows in (small, large))
            further = (last - first) / (large - small) * 1e6
            cells.append(f"{last / first:.2f}")
            if key == "seconds":
                cells.append(f"{math.log(last / first) / math.log(large / small):.2f}")
            cells.append(format(further, form))
        lines.append(cells)
    return format_table(head, lines)


def format_report(results, titles):
    """Return the goals and all tables."""
    parts = ["## Goals", format_goals(results, GOALS)]
    for rows, result in results.items():
        text = f"{result.kept:,} are kept: the same rows, with the same values, by all."
        parts += [f"## {rows:,} rows", text, format_size(result, titles)]
    if len(results) > 1:
        small, large = min(results), max(results)
        parts += [f"## From {small:,} to {large:,} rows", format_growth(results, titles)]
    return "\n\n".join(parts)


def write_report(results, titles, rounds, versions):
    """Write results/etl.md and results/etl.svg."""
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.system()}, {processor()}, Python {platform.python_version()}"
    text = f"""# ETL, measured

{date.today()}, {machine}; {", ".join(versions)}. Medians of {rounds} rounds; seconds from the start of the process to its end, memory of the process and all it started. All clean the same rows alike; only `pipeline.py` keeps the rejected rows, with the reason and the line of each.

{format_report(results, titles)}

![Seconds and peak memory by rows](etl.svg)
"""
    (RESULTS / "etl.md").write_text(text, encoding="utf-8")
    plot(results, titles, RESULTS / "etl.svg")
    print(text)


def plot(results, titles, file):
    """Draw seconds and peak memory by rows, a line for each engine."""
    plt.rcParams |= {"svg.hashsalt": "etl", "svg.fonttype": "none", "font.size": 10}
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    others = iter(OTHERS)
    colours = {name: COLOURS.get(name) or next(others) for name in titles}
    for panel, (key, label) in zip(
        panels, (("seconds", "seconds"), ("peak", "peak MiB")), strict=True
    ):
        for name, title in titles.items():
            sizes = [rows for rows in results if name in results[rows].figures]
            values = [results[rows].figures[name][key] for rows in sizes]
            width = 2.5 if name.startswith("ours") else 1.2
            panel.plot(sizes, values, "o-", color=colours[name], label=title, linewidth=width)
        panel.set(xscale="log", yscale="log", xlabel="rows, logarithmic")
        panel.set_xticks(list(results), [f"{rows:,}" for rows in results])
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,g}")
        panel.minorticks_off()
        panel.set_title(f"{label}, logarithmic")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
