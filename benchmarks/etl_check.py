"""Say what a clean table holds, whatever its format and the order of its rows. Runs with DuckDB.

python etl_check.py FILE, or a folder of Parquet files
"""

import json
import sys
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from etl_rules import BOOLEANS, COLUMNS, DATES, INTEGERS, KEY, NUMBERS


def plain(name):
    """Return a cell in a type that all tables can give."""
    if name in NUMBERS or name in INTEGERS:
        return f"CAST({name} AS DECIMAL(18, 6))"
    if name in DATES:
        return f"CAST({name} AS DATE)"
    return f"CAST({name} AS BOOLEAN)" if name in BOOLEANS else f"CAST({name} AS VARCHAR)"


def main():
    """Print the rows, and of each column its values and a sum that depends on each row's key."""
    path = Path(sys.argv[1])
    if path.suffix == ".csv":
        table = f"read_csv('{path}', all_varchar = true)"
    else:
        table = f"read_parquet('{path / '*.parquet' if path.is_dir() else path}')"
    columns = ", ".join(
        f"count({name}) AS {name}, sum(hash({KEY}, {plain(name)})::HUGEINT)::VARCHAR AS {name}_sum"
        for name in COLUMNS
    )
    query = f"SELECT count(*) AS rows, count(DISTINCT {KEY}) AS keys, {columns} FROM {table}"
    found = duckdb.execute(query)
    names = [column[0] for column in found.description]
    print(json.dumps(dict(zip(names, found.fetchone(), strict=True))))


if __name__ == "__main__":
    main()
