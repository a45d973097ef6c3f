"""polars, streaming: lazy expressions from the CSV to the Parquet file.

`replace_strict` would be shorter for the categories, but is not done streaming.

python etl_polars.py RAW OUTPUT
"""

import sys
from datetime import date

import polars as pl
from etl_rules import (
    BOOLEANS,
    CATEGORIES,
    COLUMNS,
    DATE_FORMATS,
    DATES,
    FALSE,
    FIRST_DATE,
    INTEGERS,
    KEY,
    LAST_DATE,
    MISSING,
    NUMBERS,
    REQUIRED,
    TRUE,
)


def parse(name):
    """Return how a column is parsed; what can't be read or is out of its limits is missing."""
    text = pl.col(name)
    if name in DATES:
        dates = pl.coalesce(text.str.to_date(form, strict=False) for form in DATE_FORMATS)
        limits = (date.fromisoformat(each) for each in (FIRST_DATE, LAST_DATE))
        return pl.when(dates.is_between(*limits)).then(dates)
    if name in CATEGORIES:
        lower, spelled = text.str.to_lowercase(), pl
        for each in CATEGORIES[name]:
            spelled = spelled.when(lower == each.lower()).then(pl.lit(each))
        return spelled
    if name in BOOLEANS:
        lower = text.str.to_lowercase()
        return pl.when(lower.is_in(TRUE)).then(True).when(lower.is_in(FALSE)).then(False)
    if name == KEY:
        return text
    numbers = text.cast(pl.Float64, strict=False)
    numbers = pl.when(numbers.is_between(*(NUMBERS | INTEGERS)[name])).then(numbers)
    if name in INTEGERS:
        return pl.when(numbers % 1 == 0).then(numbers).cast(pl.Int64)
    return numbers


def main():
    """Read, clean and write the table, a part at a time."""
    raw = pl.scan_csv(sys.argv[1], infer_schema=False)
    stripped = raw.with_columns(pl.all().str.strip_chars())
    missing = pl.all().str.to_lowercase().is_in(MISSING)
    text = stripped.with_columns(pl.when(~missing).then(pl.all()).name.keep())
    parsed = text.with_columns(parse(name).alias(f"{name} parsed") for name in COLUMNS)
    good = (
        pl.col(f"{name} parsed").is_not_null()
        if name in REQUIRED
        else pl.col(name).is_null() | pl.col(f"{name} parsed").is_not_null()
        for name in COLUMNS
    )
    kept = parsed.filter(pl.all_horizontal(good))
    clean = kept.select(pl.col(f"{name} parsed").alias(name) for name in COLUMNS)
    clean.unique(KEY, keep="first", maintain_order=True).sink_parquet(sys.argv[2])


if __name__ == "__main__":
    main()
