"""The naive script: the whole table in pandas, one column after the other, CSV in and CSV out.

python etl_article.py RAW OUTPUT
"""

import logging
import sys

import numpy as np
import pandas as pd

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
log = logging.getLogger("etl")

MISSING = ["", "na", "n/a", "nan", "null", "none", "?", "-"]


def extract(path):
    """Read the raw table."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def clean_number(df, column, low, high):
    """Parse a column of numbers, and drop the rows whose number is none or out of range."""
    numbers = pd.to_numeric(df[column], errors="coerce")
    good = df[column].isna() | numbers.between(low, high)
    df[column] = numbers
    return df[good]


def clean_date(df, column):
    """Parse a column of dates, written in three ways, and drop the rows whose date is none."""
    dates = pd.to_datetime(df[column], format="%Y-%m-%d", errors="coerce")
    dates = dates.fillna(pd.to_datetime(df[column], format="%d/%m/%Y", errors="coerce"))
    dates = dates.fillna(pd.to_datetime(df[column], format="%d %b %Y", errors="coerce"))
    good = df[column].isna() | dates.between("2010-01-01", "2035-12-31")
    df[column] = dates
    return df[good]


def clean_category(df, column, names):
    """Spell a column of categories alike, and drop the rows with another one."""
    spelled = df[column].str.lower().map({name.lower(): name for name in names})
    good = df[column].isna() | spelled.notna()
    df[column] = spelled
    return df[good]


def transform(df):
    """Clean the table."""
    for column in df.columns:
        df[column] = df[column].str.strip()
        df[column] = df[column].mask(df[column].str.lower().isin(MISSING), np.nan)
    df = df.dropna(subset=["customer_id", "churned"])
    df = clean_date(df, "signup_date")
    df = clean_date(df, "last_payment_date")
    df = clean_number(df, "age", 18, 110)
    df = clean_number(df, "support_calls", 0, 100)
    for column in ["age", "support_calls"]:
        df = df[df[column].isna() | (df[column] % 1 == 0)]
    df = clean_number(df, "monthly_charge", 0, 500)
    df = clean_number(df, "data_gb", 0, 1000)
    df = clean_category(df, "region", ["North", "South", "East", "West"])
    df = clean_category(df, "plan", ["Basic", "Standard", "Premium"])
    df = clean_category(df, "contract_type", ["Monthly", "Yearly", "Two-year"])
    df = clean_category(df, "churned", ["Yes", "No"])
    paperless = df["paperless"].str.lower().map({"yes": True, "no": False})
    df = df.assign(paperless=paperless)[df["paperless"].isna() | paperless.notna()]
    return df.drop_duplicates("customer_id")


def load(df, path):
    """Write the clean table."""
    df.to_csv(path, index=False)


if __name__ == "__main__":
    raw = extract(sys.argv[1])
    log.info("%d rows read", len(raw))
    clean = transform(raw)
    load(clean, sys.argv[2])
    log.info("%d rows written", len(clean))
