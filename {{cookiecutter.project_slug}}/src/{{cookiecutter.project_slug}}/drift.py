"""Drift: how far new rows are from those that the model was trained on.

The model file keeps how the values of each column were distributed: numbers and dates
in bins between their deciles, the shares of categories and of missing values. New rows
are counted in the same bins and compared by the population stability index (Siddiqi,
"Credit risk scorecards", 2006). By convention 0.1 is a moderate and 0.25 a large shift.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import ArrayLike

from .prediction import Model, load_model, name_label, predict_frame
from .schema import Column
from .utils import UserError

PREDICTION = "prediction"  # the name under which the model's own answers are compared
MOST_BINS, MOST_CATEGORIES = 10, 50
SAMPLED_ROWS, SAMPLED_PARTS = 20_000, 50
NORMAL_QUANTILE = 3.09  # of 0.999

log = logging.getLogger("drift")

Reference = Mapping[str, Any]  # of one column


def describe_columns(
    frame: pd.DataFrame, columns: Sequence[Column]
) -> dict[str, dict[str, Any]]:
    """Return how the values of columns are distributed, by column."""
    frame = frame.sample(min(len(frame), SAMPLED_ROWS), random_state=0)
    return {each.name: describe(frame[each.name], each.kind) for each in columns}


def describe_predictions(
    outputs: np.ndarray, labels: Sequence[Any]
) -> dict[str, dict[str, Any]]:
    """Return how a model's answers are distributed: numbers, labels, or of two labels
    the probability of the second.
    """
    if len(labels) > 2:
        names = [name_label(labels[position]) for position in outputs.argmax(axis=1)]
        return {PREDICTION: describe(pd.Series(names), "category")}
    numbers = outputs[:, 1] if labels else outputs
    return {PREDICTION: describe(pd.Series(numbers), "number")}


def describe(values: pd.Series, kind: str) -> dict[str, Any]:
    """Return the bins of a column and the number of rows in each.

    The last bin has the missing values. With categories, the one before has all others.
    """
    reference: dict[str, Any] = {"kind": kind}
    if kind in ("category", "boolean"):
        frequent = _as_texts(values).value_counts().head(MOST_CATEGORIES)
        reference["categories"] = sorted(frequent.index)
    else:
        numbers = _as_numbers(values)
        numbers = numbers[~np.isnan(numbers)]
        shares = np.arange(1, MOST_BINS) / MOST_BINS
        edges = np.quantile(numbers, shares) if len(numbers) else []
        reference["edges"] = np.unique(edges).tolist()
    return {**reference, "counts": count(values, reference).tolist()}


def count(values: pd.Series, reference: Reference) -> np.ndarray:
    """Count the values in each bin of a reference."""
    if "categories" in reference:
        categories = reference["categories"]
        bins = pd.Index(categories).get_indexer(pd.Index(_as_texts(values)))
        bins[bins < 0] = len(categories)
        missing = len(categories) + 1
    else:
        edges = reference["edges"]
        bins = np.searchsorted(edges, _as_numbers(values), side="right")
        missing = len(edges) + 1
    bins = np.where(values.isna(), missing, bins)
    return np.bincount(bins, minlength=missing + 1)


def _as_texts(values: pd.Series) -> pd.Series:
    """Return categories and booleans as text; missing values stay missing."""
    return values.astype("string").astype(object)


def _as_numbers(values: pd.Series) -> np.ndarray:
    """Return numbers, or the days since 1970 of dates."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = (values - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return values.to_numpy(dtype=float, na_value=np.nan)


def calculate_psi(then: ArrayLike, now: ArrayLike) -> float:
    """Return the population stability index of two counts, less what chance explains.

    Between samples of one population it is chi-squared with one degree of freedom fewer
    than bins, divided by their sizes (Yurdakul, 2018). Its 99.9 % quantile is
    subtracted, so that a few rows raise no alarm.
    """
    counts = np.array([then, now], dtype=float)
    counts = counts[:, counts.sum(axis=0) > 0]
    rows, bins = counts.sum(axis=1), counts.shape[1]
    if rows.min() == 0 or bins < 2:
        return 0.0
    shares = (counts + 0.5) / (rows[:, None] + bins / 2)
    index = np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))
    spread = 2 / (9 * (bins - 1))  # the quantile is that of Wilson and Hilferty
    quantile = (bins - 1) * (1 - spread + NORMAL_QUANTILE * np.sqrt(spread)) ** 3
    return float(max(0, index - quantile * np.sum(1 / rows)))


class DriftMonitor:
    """Counts new rows in the bins of a model, batch by batch."""

    def __init__(self, model: Model) -> None:
        """Start without rows."""
        self.model = model
        self.counts = {
            name: np.zeros(len(reference["counts"]), dtype=np.int64)
            for name, reference in model.reference.items()
        }

    def add(self, frame: pd.DataFrame, answers: pd.DataFrame | None = None) -> None:
        """Count the rows of a clean table; `answers` are those of predict_frame."""
        if answers is None:
            answers = predict_frame(self.model, frame)
        predictions = answers[PREDICTION]
        if len(self.model.labels) == 2:
            predictions = answers.iloc[:, 2]  # the probability of the second label
        elif self.model.labels:
            predictions = predictions.map(name_label)

        for name, reference in self.model.reference.items():
            values = frame.get(name, predictions)
            self.counts[name] += count(values, reference)

    def measure(self) -> dict[str, float]:
        """Return the population stability index by column, the worst first."""
        drift = {
            name: round(calculate_psi(reference["counts"], self.counts[name]), 4)
            for name, reference in self.model.reference.items()
        }
        return dict(sorted(drift.items(), key=lambda item: -item[1]))

    def find_alarms(self, limit: float) -> dict[str, float]:
        """Return the columns beyond the limit, except dates, which move by nature."""
        return {
            name: psi
            for name, psi in self.measure().items()
            if psi > limit and self.model.reference[name]["kind"] != "date"
        }

    def shares(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of rows in each bin of a column, in training and now."""
        counts = np.array([self.model.reference[name]["counts"], self.counts[name]])
        then, now = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        return then, now

    def explain(self, name: str) -> str:
        """Say how the missing values and the new categories of a column changed."""
        then, now = self.shares(name)
        changes = []
        if abs(now[-1] - then[-1]) > 0.01:
            changes.append(f"missing {then[-1]:.1%} then, {now[-1]:.1%} now")
        if "categories" in self.model.reference[name] and now[-2] > then[-2] + 0.001:
            changes.append(f"other categories {then[-2]:.1%} then, {now[-2]:.1%} now")
        return "; ".join(changes)

    def log(self, limit: float) -> dict[str, float]:
        """Log the columns beyond the limit, and return the index of each column."""
        for name, psi in self.find_alarms(limit).items():
            details = self.explain(name)
            log.warning("drift: %s %.2f%s", name, psi, details and f"; {details}")
        return self.measure()


def log_drift(model_path: Path, data: Path, limit: float) -> dict[str, float]:
    """Compare a processed table with what the model was trained on, and log it.

    Returns the population stability index by column; nothing if there is no model, or
    none that fits the table.
    """
    if not model_path.exists():
        return {}
    try:
        monitor = DriftMonitor(load_model(model_path))
        monitor.add(read_sample(data))
    except (UserError, KeyError) as error:
        log.warning("drift is not measured: %s", error)
        return {}
    return monitor.log(limit)


def read_sample(data: Path) -> pd.DataFrame:
    """Read some thousand rows of a Parquet file or folder, from all over it."""
    files = ds.dataset(data, format="parquet").get_fragments()
    parts = [part for file in files for part in file.split_by_row_group()]
    chosen = parts[:: -(-len(parts) // SAMPLED_PARTS) or 1]
    frame = pa.concat_tables(part.to_table() for part in chosen).to_pandas()
    return frame.sample(min(len(frame), SAMPLED_ROWS), random_state=0)
