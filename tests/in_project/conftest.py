"""Take a table all the way: from a file, by the commands a user types, to answers over HTTP.

These tests run inside a baked project (see ../test_any_table.py), with its own interpreter.
"""

import csv
import json
import random
import shutil
import sys
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import app
import numpy as np
import pandas as pd
import pipeline
import pytest
from customer_churn.config import Config, read_config
from customer_churn.evaluation import predict_outputs
from customer_churn.feature_engineering import features_of_table
from customer_churn.model_training import Dataset
from customer_churn.tools import infer_schema
from customer_churn.training import train
from sklearn.pipeline import Pipeline

PROJECT = Path.cwd()
AT_ONCE = 2000  # rows in one request
MISSING = ["", "  ", "NA", "N/A", "n/a", "NaN", "null", "NULL", "None", "?", "-"]


class Journey(NamedTuple):
    """What came of a table on its way."""

    said: str  # by infer-schema
    config: Config
    record: dict[str, Any]  # of the pipeline's run
    frame: pd.DataFrame  # the processed table
    dataset: Dataset
    pipeline: Pipeline
    metrics: dict[str, float]
    client: Any

    def kinds(self):
        """What each column is."""
        table = self.dataset.table
        kinds = dict.fromkeys(table.unused, "unused")
        return kinds | {column.name: column.kind for column in (*table.features, table.target)}

    def line(self, name):
        """What infer-schema says of a column."""
        return next(line for line in self.said.splitlines() if line.startswith(f"{name} "))

    def rows(self):
        """All processed rows, as a client sends them; those without a target too."""
        names = [column.name for column in self.dataset.table.features]
        frame = self.frame[names]
        return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))

    def ask(self, rows):
        """Answer rows over HTTP."""
        answers = []
        for start in range(0, len(rows), AT_ONCE):
            body = {"features": rows[start : start + AT_ONCE]}
            answer = self.client.post("/predict", json=body)
            assert answer.status_code == 200, answer.data[:500]
            answers += answer.get_json()["predictions"]
        return answers

    def check_answers(self, most=None):
        """Every row (or so many) gets over HTTP what scikit-learn answers."""
        table, served = self.dataset.table, self.ask(self.rows()[:most])
        X = features_of_table(self.frame.head(len(served)), table.features)
        expected = predict_outputs(self.pipeline, X, len(self.dataset.labels))
        if table.task == "regression":
            found = [answer["prediction"] for answer in served]
            tolerance = 1e-4 * self.dataset.y.std()
            np.testing.assert_allclose(found, expected + self.dataset.offset, atol=tolerance)
        else:
            given = [list(answer["probabilities"].values()) for answer in served]
            np.testing.assert_allclose(given, expected, atol=1e-4)


def type_in(main, *words):
    """Run a command with these words; its UserError comes through as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *map(str, words)])
        main.__wrapped__()


def go(folder, file, target, *options):
    """Take the table in a file all the way, in a project of its own in the folder."""
    for name in ("config.yaml", "schema.yaml"):
        shutil.copy(PROJECT / name, folder)
    trained, fit_model = [], train.fit_model

    def fit_and_keep(dataset, *arguments):
        trained.append((dataset, fit_model(dataset, *arguments)))
        return trained[-1][1]

    with chdir(folder), redirect_stdout(StringIO()) as said, pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "fit_model", fit_and_keep)
        type_in(infer_schema.main, file, "--target", target, *options)
        type_in(pipeline.main)
        lines = Path("logs/pipeline.jsonl").read_text(encoding="utf-8").splitlines()
        record = json.loads(lines[-1])
        assert record["rows_read"] == sum(
            record[f"rows_{name}"] for name in ("kept", "rejected", "duplicate")
        )
        type_in(train.main)
        config = read_config(folder)
        frame = pd.read_parquet(config.paths.processed)
        metrics = json.loads(config.paths.model.with_suffix(".json").read_text())["metrics"]
        client = app.create_app().test_client()
    return Journey(said.getvalue(), config, record, frame, *trained[0], metrics, client)


def write(path, columns, encoding="utf-8", **options):
    """Write columns of text as a CSV file."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, **options)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def draw():
    return random.Random(0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"
