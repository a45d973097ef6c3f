"""Write measured figures and goals as tables in Markdown."""

import platform
from datetime import date
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).with_name("results")


class Column(NamedTuple):
    """A column of a table: the key of its figures, and the name that they are divided by."""

    key: str
    form: str = ".2f"
    base: str | None = None


class Goal(NamedTuple):
    """A limit (≤ or ≥) for a figure, or for a figure divided by that of `base`."""

    title: str
    name: str
    key: str
    sign: str
    limit: float
    base: str | None = None


class Group(NamedTuple):
    """One table of results: figures by name and key, columns by heading, and goals."""

    title: str
    figures: dict
    columns: dict
    goals: tuple = ()
    note: str = ""


def find(figures, name, key, base):
    """Return a figure, divided by that of `base` if there is one; None if it is missing."""
    try:
        return figures[name][key] / (figures[base][key] if base else 1)
    except KeyError:
        return None


def format_table(head, rows):
    """Return a table in Markdown; all columns but the first are aligned right."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows))


def format_goals(groups):
    """Return the table of all goals, and whether each is met."""
    rows = []
    for group in groups:
        for goal in group.goals:
            found = find(group.figures, goal.name, goal.key, goal.base)
            row = [f"{group.title}: {goal.title}", f"{goal.sign} {goal.limit:g}"]
            if found is None:
                rows.append([*row, "–", "not measured"])
                continue
            is_met = found <= goal.limit if goal.sign == "≤" else found >= goal.limit
            rows.append([*row, f"{found:.3g}", "met" if is_met else "**missed**"])
    return format_table(["goal", "limit", "measured", ""], rows)


def format_group(group):
    """Return the table of a group; a missing figure is a dash."""
    rows = []
    for name in group.figures:
        cells = [name]
        for column in group.columns.values():
            found = find(group.figures, name, column.key, column.base)
            cells.append("–" if found is None else format(found, column.form))
        rows.append(cells)
    table = format_table(["", *group.columns], rows)
    return "\n\n".join(filter(None, [f"## {group.title}", group.note, table]))


def report(name, about, groups, options):
    """Print the goals and tables. Unless `--quick` is given, write results/NAME.md too."""
    machine = f"{platform.system()}, {processors()}, Python {platform.python_version()}"
    heading = f"# Results of {name}.py"
    about += " Quick form: the figures say nothing about the goals." * options.quick
    intro = f"{date.today()}; {machine}. Rounds: {options.rounds}; figures are medians. {about}"
    parts = [heading, intro, "## Goals", format_goals(groups), *map(format_group, groups)]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if not options.quick:
        (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")


def processors():
    """Return how many processors of which kind this machine has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()
