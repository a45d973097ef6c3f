"""Drift: how far new rows are from those that the model was trained on.

The model file keeps how the values of each column were distributed: numbers and dates
in bins between their deciles, the shares of categories and of missing values. New rows
are counted in the same bins and compared by the population stability index (Siddiqi,
"Credit risk scorecards", 2006). By convention 0.1 is a moderate and 0.25 a large shift.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from scipy.special import chdtri

from .feature_engineering import EPOCH
from .prediction import Model, load_model, name_label, predict_table
from .utils import UserError

PREDICTION = "prediction"  # the name of the model's own predictions in a comparison
OTHER_BINS = ("other", "missing")
DECILES = np.arange(1, 10) / 10
MOST_CATEGORIES = 50
SAMPLED_ROWS, SAMPLED_PARTS = 20_000, 50
CHANCE = 0.001

log = logging.getLogger("drift")


def describe_rows(
    train: pd.DataFrame, columns: Sequence, predictions: pd.Series, trained: pd.Series
) -> dict:
    """Return the distributions of columns and of predictions, by name.

    Each is a reference as `describe` returns it. `predictions` are for the test rows,
    `trained` for the training rows: a model that overfits is surer about these.
    """
    kind = "number" if predictions.dtype.kind == "f" else "category"
    reference = describe(predictions, kind)
    reference["trained"] = count(trained, reference).tolist()
    described = {each.name: describe(train[each.name], each.kind) for each in columns}

    return {**described, PREDICTION: reference}


def as_predictions(outputs: np.ndarray, labels: Sequence) -> pd.Series:
    """Return what the drift of predictions is measured on.

    That is the number, the predicted label or, with two labels, the probability of the
    second.
    """
    if len(labels) > 2:
        return pd.Series(map(name_label, labels)).take(outputs.argmax(axis=1))

    return pd.Series(outputs[:, 1] if labels else outputs)


def describe(values: pd.Series, kind: str) -> dict:
    """Return the distribution of a column: its bins, and the rows in each.

    Numbers and dates are binned between their deciles, which are the `edges`. Each
    frequent category is a bin of its own. The last two bins are other and missing
    values.
    """
    edges = None
    if kind in ("category", "boolean"):
        frequent = values.astype("string").value_counts()
        bins = sorted(frequent.index[:MOST_CATEGORIES])
    else:
        starts = values.quantile(DECILES).dropna().drop_duplicates()
        edges = _as_numbers(starts).tolist()
        style = "%Y-%m-%d" if kind == "date" else ".4g"
        bins = ["lowest", *(f"≥ {start:{style}}" for start in starts)]

    reference = {"kind": kind, "edges": edges, "bins": [*bins, *OTHER_BINS]}

    return {**reference, "counts": count(values, reference).tolist()}


def count(values: pd.Series, reference: dict) -> np.ndarray:
    """Count the values in each bin of a reference.

    Returns an array of the shape (bins,).
    """
    *known, _, _ = reference["bins"]
    if reference["edges"] is None:
        bins = pd.Index(known).get_indexer(values.astype("string"))
    else:
        bins = np.searchsorted(reference["edges"], _as_numbers(values), side="right")

    bins[bins < 0] = len(known)
    bins[values.isna()] = len(known) + 1

    return np.bincount(bins, minlength=len(known) + 2)


def _as_numbers(values: pd.Series) -> pd.Series:
    """Return numbers, or the days since 2000-01-01 of dates."""
    if values.dtype.kind == "M":
        values = (values - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)

    return values.astype(float)


def _calculate_psi(then: ArrayLike, now: ArrayLike) -> float:
    """Return the population stability index of two counts, less what chance explains.

    Between samples of one population it is chi-squared with one degree of freedom fewer
    than bins, divided by their sizes (Yurdakul, 2018). Its 99.9 % quantile is
    subtracted, so that a few rows raise no alarm.
    """
    counts = np.array([then, now], dtype=float)
    counts = counts[:, counts.any(axis=0)]
    rows = counts.sum(axis=1, keepdims=True)
    bins = counts.shape[1]
    if bins < 2 or not rows.all():
        return 0.0

    before, after = (counts + 0.5) / (rows + bins / 2)
    index = np.sum((after - before) * np.log(after / before))
    by_chance = chdtri(bins - 1, CHANCE) * np.sum(1 / rows)

    return round(max(0.0, index - by_chance), 4)


class DriftMonitor:
    """Counts new rows in the bins of a model, batch by batch."""

    def __init__(self, model: Model) -> None:
        """Start without rows."""
        self.model = model
        self.reference = model.reference
        self.counts: dict = dict.fromkeys(model.reference, 0)

    def add(self, frame: pd.DataFrame) -> None:
        """Count the rows of a clean table. Raises UserError if it has other columns."""
        try:
            outputs = predict_table(self.model, frame)
            predictions = as_predictions(outputs, self.model.labels)
            for name, reference in self.reference.items():
                values = predictions if name == PREDICTION else frame[name]
                self.counts[name] += count(values, reference)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the model was trained with other columns ({error}); run: uv run train"
            ) from error

    def measure(self) -> dict:
        """Return the population stability index by column, the worst first.

        Predictions are compared with those for test rows and for training rows: the
        new rows may be either, and the smaller index counts.
        """
        drift = {}
        for name, reference in self.reference.items():
            now, test = self.counts[name], reference["counts"]
            trained = reference.get("trained", test)
            drift[name] = min(_calculate_psi(test, now), _calculate_psi(trained, now))

        return dict(sorted(drift.items(), key=lambda item: -item[1]))

    def log(self, limit: float) -> dict:
        """Log the columns beyond the limit, and return them with how they changed.

        Dates move by nature and are never beyond it.
        """
        alarms = {}
        for name, psi in self.measure().items():
            if psi > limit and self.reference[name]["kind"] != "date":
                changes = [f"{psi:.2f}"]
                for part, (then, now) in self.shares(name)[-2:].iterrows():
                    if abs(now - then) > 0.001:
                        changes.append(f"{part} {then:.1%} then, {now:.1%} now")
                alarms[name] = "; ".join(changes)
                log.warning("drift: %s %s", name, alarms[name])

        return alarms

    def shares(self, name: str) -> pd.DataFrame:
        """Return the share of rows in each bin of a column.

        There is a row for each bin, and the columns Training and Now.
        """
        reference = self.reference[name]
        counts = {"Training": reference["counts"], "Now": self.counts[name]}
        shares = pd.DataFrame(counts, index=reference["bins"])
        return shares / shares.sum().clip(lower=1)


def log_drift(model_path: Path, data: Path, limit: float) -> dict:
    """Compare a processed table with what the model was trained on, and log it.

    Returns the population stability index by column, or nothing if the model does not
    fit the table.
    """
    try:
        monitor = DriftMonitor(load_model(model_path))
        monitor.add(read_sample(data))
    except UserError as error:
        log.warning("drift is not measured: %s", error)
        return {}

    monitor.log(limit)

    return monitor.measure()


def read_sample(data: Path) -> pd.DataFrame:
    """Read at most `SAMPLED_ROWS` rows of a Parquet file, from all over it."""
    with pq.ParquetFile(data) as file:
        parts = range(file.num_row_groups)
        chosen = parts[:: len(parts) // SAMPLED_PARTS + 1]
        frame = file.read_row_groups(list(chosen)).to_pandas()

    return frame.sample(min(len(frame), SAMPLED_ROWS), random_state=0)
