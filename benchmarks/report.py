"""Write what was measured: a table in Markdown and a plot."""

import platform
from datetime import date
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from measure import CONNECTIONS, SIZES

SHARES = ("of the floor", "by processor time")
RESULTS = Path(__file__).with_name("results")

# What is asked for (see the README): a name, how it is computed, the limit and its direction.
GOALS = (
    ("one row, of the floor", lambda f: f["ours"]["rate.1"] / f["floor"]["rate.1"], ">=", 0.70),
    (
        "one row, × FastAPI, the same ONNX model",
        lambda f: f["ours"]["rate.1"] / f["fastapi-onnx"]["rate.1"],
        ">=",
        1.15,
    ),
    ("one row, × MLflow serve", lambda f: f["ours"]["rate.1"] / f["mlflow"]["rate.1"], ">=", 60),
    (
        "1,000 rows, × MLflow serve",
        lambda f: f["ours"]["rate.1000"] / f["mlflow"]["rate.1000"],
        ">=",
        3,
    ),
    (
        "explanation of one row, ms of processor time",
        lambda f: f["ours-explain"]["cpu.1"] - f["ours"]["cpu.1"],
        "<=",
        1,
    ),
    ("cold start, s", lambda f: f["ours"]["cold_start"], "<=", 1),
    ("memory of a worker, MiB", lambda f: f["ours"]["worker"], "<=", 90),
)


def format_table(head, rows):
    """Return a Markdown table; numbers stand to the right."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows))


def format_goals(figures, goals=GOALS):
    """Return each goal, what was measured, and whether it is met; goals without figures go."""
    rows = []
    for name, compute, sign, limit in goals:
        try:
            value = compute(figures)
        except KeyError:
            continue
        met = value >= limit if sign == ">=" else value <= limit
        row = [name, f"{'≥' if sign == '>=' else '≤'} {limit:g}", f"{value:.3g}"]
        rows.append([*row, "met" if met else "**missed**"])
    return format_table(["goal", "limit", "measured", ""], rows)


def format_rates(figures):
    """Return a short table for developing: rates, and how near the floor by time and by work."""
    head = ["", *(f"{rows:,} row(s): {what}" for rows in SIZES for what in ("req/s", *SHARES))]
    lines = []
    for name, each in figures.items():
        floor = figures.get(floor_of(name), {})
        cells = [name]
        for rows in SIZES:
            work = f"{floor[f'cpu.{rows}'] / each[f'cpu.{rows}']:.3g}" if floor else "–"
            cells += [f"{each[f'rate.{rows}']:,.1f}", ratio(each, floor, rows), work]
        lines.append(cells)
    return format_table(head, lines)


def floor_of(name):
    """Return the name of the floor that a server is compared with."""
    return "wide-floor" if name.startswith("wide") else "floor"


def ratio(figures, other, rows):
    """Return how many times as many requests were answered, or a dash if nothing is known."""
    key = f"rate.{rows}"
    return f"{figures[key] / other[key]:.3g}" if other else "–"


def format_peers(figures, titles, rows):
    """Return the table of all servers for requests of so many rows, the fastest first."""
    names = sorted(
        (name for name in figures if not name.startswith(("wide", "ours-"))),
        key=lambda name: -figures[name][f"rate.{rows}"],
    )
    head = ["server", "req/s", "of the floor", "× MLflow", "p50 ms", "p99 ms", "processor ms"]
    if rows == 1:
        head += ["cold start s", "worker MiB", "all processes MiB"]
    lines = []
    for name in names:
        each = figures[name]
        title = f"**{titles[name]}**" if name == "ours" else titles[name]
        rate = each[f"rate.{rows}"]
        cells = [title, f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"]
        cells += [ratio(each, figures[other], rows) for other in ("floor", "mlflow")]
        cells += [f"{each[f'{p}.{rows}']:,.1f}" for p in ("p50", "p99")]
        cells += [f"{each[f'cpu.{rows}']:.2f}"]
        if rows == 1:
            cells += [f"{each['cold_start']:.2f}", *(f"{each[m]:.0f}" for m in ("worker", "all"))]
        lines.append(cells)
    return format_table(head, lines)


def format_kinds(figures, titles):
    """Return the table of app.py with each kind of model on both tables."""
    names = [n for n in figures if n.startswith(("ours", "wide", "floor"))]
    head = ["server", "one row, req/s", "of its floor", "1,000 rows, req/s", "of its floor"]
    head += ["cold start s", "worker MiB"]
    lines = []
    for name in names:
        each, floor = figures[name], figures[floor_of(name)]
        cells = [titles[name]]
        for rows in SIZES:
            cells += [f"{each[f'rate.{rows}']:,.0f}", ratio(each, floor, rows)]
        lines.append([*cells, f"{each['cold_start']:.2f}", f"{each['worker']:.0f}"])
    return format_table(head, lines)


def write_report(figures, titles, rounds, seconds):
    """Write results/serving.md and results/serving.svg."""
    RESULTS.mkdir(exist_ok=True)
    text = f"""# Serving, measured

{date.today()}, {platform.system()}, {processor()}, Python {platform.python_version()}. Medians of {rounds} rounds; in each round every server is started anew and measured for {seconds} s, {CONNECTIONS} open connections, the server on one core and the load on another.

## Goals

{format_goals(figures)}

## One row in a request

{format_peers(figures, titles, 1)}

## 1,000 rows in a request

{format_peers(figures, titles, 1_000)}

## Three kinds of models, and a table of 200 columns

{format_kinds(figures, titles)}

![Requests a second](serving.svg)
"""
    (RESULTS / "serving.md").write_text(text, encoding="utf-8")
    plot(figures, titles, RESULTS / "serving.svg")
    print(text)


def processor():
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()


def plot(figures, titles, file):
    """Draw requests a second of all servers, one panel for each size of request."""
    plt.rcParams |= {"svg.hashsalt": "serving", "svg.fonttype": "none", "font.size": 10}
    names = [name for name in figures if not name.startswith(("wide", "ours-"))]
    names.sort(key=lambda name: figures[name]["rate.1"])
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for panel, rows in zip(panels, SIZES, strict=True):
        for place, name in enumerate(names):
            rate = figures[name][f"rate.{rows}"]
            colour = {"ours": "#d1495b", "floor": "#888888"}.get(name, "#30638e")
            panel.plot(rate, place, "o", color=colour, markersize=8)
            panel.annotate(f"{rate:,.0f}", (rate, place), (8, -4), textcoords="offset points")
        panel.set_xscale("log")
        panel.margins(x=0.2, y=0.1)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(left=False)
        panel.set_xlabel("requests/s, logarithmic")
        panel.set_title("one row in a request" if rows == 1 else f"{rows:,} rows in a request")
    panels[0].set_yticks(range(len(names)), [titles[name] for name in names])
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
