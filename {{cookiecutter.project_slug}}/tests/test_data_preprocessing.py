"""Cleaning: text in, typed rows out, and a reason for every rejected row."""

import pandas as pd
import pytest
from conftest import HEADER, make_lines

from {{ cookiecutter.project_slug }}.data_preprocessing import transform
from {{ cookiecutter.project_slug }}.schema import read_table


def make_raw(*lines):
    """Make a raw table of lines of CSV."""
    rows = [line.split(",") for line in lines]
    return pd.DataFrame(rows, columns=HEADER, dtype="str")


def test_every_row_is_kept_rejected_or_a_duplicate(config):
    raw = make_raw(
        "k1,10,1,small,yes,2020-01-31,lost",
        "k2,900,1.5,Small,yes,2020-02-30,won",
        "k1,20,,LARGE ,no,?,won",
        "k3,1,1,Small,yes,2020-01-31,",
    )
    result = transform(raw, read_table(config))
    assert list(result.kept.index) == [2]
    assert list(result.duplicates) == [0]
    kept = result.kept.iloc[0]
    assert (kept["größe"], bool(kept["member"])) == ("Large", False)
    assert pd.isna(kept["class"]) and pd.isna(kept["since"])
    assert result.rejected[1] == (
        "Total Charges: '900' is above 100; class: '1.5' can't be read; "
        "since: '2020-02-30' can't be read"
    )
    assert result.rejected[3] == "outcome: '' is missing"


@pytest.mark.parametrize("rows", [0, 30])
def test_the_types_do_not_depend_on_the_rows(config, rows):
    raw = make_raw(*make_lines(rows)) if rows else make_raw().reindex(columns=HEADER)
    types = transform(raw.astype("str"), read_table(config)).kept.dtypes.astype(str)
    assert types.tolist() == [
        *("str", "float64", "Int64", "str", "boolean", "datetime64[us]", "str"),
    ]


def test_one_batch_or_many_give_the_same_rows(own_raw, own_table):
    raw = own_raw.head(600)
    whole = transform(raw, own_table)
    parts = [
        transform(raw.iloc[start : start + 100], own_table)
        for start in range(0, 600, 100)
    ]
    rows = pd.concat([part.kept for part in parts])
    rejected = pd.concat([part.rejected for part in parts])
    assert rejected.to_dict() == whole.rejected.to_dict()
    pd.testing.assert_frame_equal(rows.loc[whole.kept.index], whole.kept)
