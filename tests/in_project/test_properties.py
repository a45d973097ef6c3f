"""Whatever a table is called and whatever stands in it: an answer or a reason, and no row lost."""

import csv
import re
import tempfile
from pathlib import Path

from conftest import go
from customer_churn.utils import UserError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

ROWS = 40

# The only reasons why a table is refused.
REASONS = [
    "the target '.*' has .* distinct values",
    r"the target '.*' has \d class\(es\) in the processed table",
    "the target '.*' can't be predicted as a number",
    "leaves no column to train on",
    "lines are malformed, most often",
    "the first line looks like a row",
    "is read as missing in .* of the rows",
    "of the rows are rejected",
    "target leakage: ",
    r"\d+ rows are too few",
    "the target has the same value in all rows to train on",
]

NAMES = st.one_of(
    st.sampled_from(["yes", "No", "null", "~", "2020", "1e3", "on", "class", "a.b", "x-y", "#"]),
    st.sampled_from([" x", "x ", "", " ", '"', ",", "a\nb", "{x}", "[", "- a", "a: b", "*", "é\t"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
CELLS = {
    "numbers": st.floats(-1e6, 1e6).map(str),
    "few": st.integers(0, 5).map(str),
    "huge": st.integers(-(2**70), 2**70).map(str),
    "money": st.integers(0, 10**7).map("${:,}".format),
    "booleans": st.sampled_from(["yes", "no", "Y", "N"]),
    "dates": st.dates().map(str),
    "times": st.datetimes().map(str),
    "european": st.dates().map("{:%d.%m.%Y}".format),
    "categories": st.sampled_from(["red", "Red ", "blue", "NaN", "2020", "null", "été", "-"]),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "constant": st.just("x"),
    "empty": st.just(""),
}
TARGETS = ["numbers", "few", "booleans", "categories", "money", "text", "constant", "dates"]


@st.composite
def tables(draw):
    """Draw a table: its names, its rows, and which column is the target."""
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique_by=lambda name: name.strip()))
    target = draw(st.sampled_from([n for n in range(len(names)) if names[n].strip()] or [0]))
    columns = []
    for number in range(len(names)):
        kind = draw(st.sampled_from(TARGETS if number == target else list(CELLS)))
        cells = draw(st.lists(CELLS[kind], min_size=3, max_size=9))
        gaps = draw(st.sampled_from([1, 2, 7, 50]))
        values = draw(st.permutations(range(ROWS)))
        columns.append(["NA" if v % gaps == 1 else cells[v % len(cells)] for v in values])
    rows = [list(row) for row in zip(*columns, strict=True)]
    if draw(st.booleans()):
        rows.insert(7, ["too", "many", "cells", "in", "this", "row", "!"])
    return names, rows, target


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(table=tables(), sign=st.sampled_from(",;\t"))
def test_any_table_gets_an_answer_or_a_reason_and_keeps_its_rows(table, sign):
    names, rows, target = table
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "any.csv")
        with file.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines, delimiter=sign).writerows([names, *rows])
        called = names[target].strip() or f"column {target + 1}"
        try:
            journey = go(Path(folder), file, f"{called}")
        except UserError as error:
            assert any(re.search(reason, str(error), re.DOTALL) for reason in REASONS), error
            event("refused")
            return
        event("answered")
        assert journey.record["rows_read"] == len(rows)
        journey.check_answers()
