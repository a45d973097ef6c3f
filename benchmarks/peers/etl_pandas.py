"""pandas, well written: the whole table in memory; of dates and categories each spelling once.

python etl_pandas.py RAW OUTPUT
"""

import sys

import pandas as pd
from etl_rules import (
    BOOLEANS,
    CATEGORIES,
    DATE_FORMATS,
    DATES,
    FIRST_DATE,
    INTEGERS,
    KEY,
    LAST_DATE,
    MISSING,
    NUMBERS,
    REQUIRED,
)


def read_dates(text):
    """Read dates in the first of the formats that fits."""
    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[s]")
    for form in DATE_FORMATS:
        rest = text[dates.isna() & text.notna()]
        dates[rest.index] = pd.to_datetime(rest, format=form, errors="coerce").dt.as_unit("s")
    return dates.where(dates.between(FIRST_DATE, LAST_DATE))


def parse(text, name):
    """Parse one column; what can't be read or is out of its limits is missing."""
    if name in DATES:
        return read_dates(text)
    if name in CATEGORIES:
        return text.str.lower().map({each.lower(): each for each in CATEGORIES[name]})
    if name in BOOLEANS:
        return text.str.lower().map(BOOLEANS[name]).astype("boolean")
    if name == KEY:
        return text
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    if name in INTEGERS:
        numbers = numbers.where(numbers % 1 == 0).astype("Int64")
    return numbers.where(numbers.between(*(NUMBERS | INTEGERS)[name]))


def clean_column(text, name):
    """Return a parsed column, and which of its cells are bad."""
    if name in NUMBERS or name == KEY:  # nearly all differ
        plain = text.str.strip()
        plain = plain.mask(plain.str.lower().isin(MISSING))
        parsed = parse(plain, name)
        return parsed, parsed.isna() & plain.notna()
    codes, spellings = pd.factorize(text)
    plain = pd.Series(spellings).str.strip()
    plain = plain.mask(plain.str.lower().isin(MISSING))
    parsed = parse(plain, name)
    bad = parsed.isna() & plain.notna()
    return (each.take(codes).set_axis(text.index) for each in (parsed, bad))


def clean(raw):
    """Return the rows that fit, with typed columns; duplicates are still among them."""
    columns, rejected = {}, pd.Series(False, raw.index)
    for name in raw.columns:
        columns[name], bad = clean_column(raw[name], name)
        rejected |= bad
    for name in REQUIRED:
        rejected |= columns[name].isna()
    return pd.DataFrame(columns)[~rejected]


def main():
    """Read, clean and write the table."""
    raw = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False, engine="pyarrow")
    clean(raw).drop_duplicates(KEY).to_parquet(sys.argv[2], index=False)


if __name__ == "__main__":
    main()
