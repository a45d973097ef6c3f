"""Two tables for the tests: one that they make, and the project's own.

The first has every kind of column, gaps, and names that are not Python identifiers. The
second is whatever is in data/raw: its tests name no column, they follow schema.yaml.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

import pipeline
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import transform
from {{ cookiecutter.project_slug }}.etl.raw_data import RawData
from {{ cookiecutter.project_slug }}.etl.sources import load_raw
from {{ cookiecutter.project_slug }}.model_training import (
    Dataset,
    fit_model,
    make_dataset,
)
from {{ cookiecutter.project_slug }}.prediction import name_label
from {{ cookiecutter.project_slug }}.schema import Table, read_table
from {{ cookiecutter.project_slug }}.training.dataset import read_processed
from {{ cookiecutter.project_slug }}.training.train import run

ROOT = Path(__file__).resolve().parent.parent
OWN_ROWS = 5000  # of the project's own table, so that tests are quick on any table


class Trained(NamedTuple):
    """A dataset, and the pipeline that was fitted to its training rows."""

    dataset: Dataset
    pipeline: Pipeline


SCHEMA: dict[str, Any] = {
    "schema_type": "dataframe",
    "strict": True,
    "columns": {
        "id": {"dtype": "str"},
        "Total Charges": {
            "dtype": "float64",
            "nullable": True,
            "in_range": {"min_value": 0, "max_value": 100},
        },
        "class": {"dtype": "Int64", "nullable": True},
        "größe": {"dtype": "str", "nullable": True, "isin": ["Small", "Large"]},
        "member": {"dtype": "boolean", "nullable": True},
        "since": {"dtype": "datetime64[ns]", "nullable": True},
        "outcome": {"dtype": "str", "isin": ["lost", "won"]},
    },
}
HEADER = list(SCHEMA["columns"])
CONFIG: dict[str, Any] = {  # whatever the project's own says
    "paths": {
        "raw": "data/raw/*.csv",
        "processed": "data/processed/table.parquet",
        "rejected": "data/rejected/table.csv",
        "model": "models/model.onnx",
        "logs": "logs",
    },
    "table": {
        "missing_values": ["", "?"],
        "true_values": ["yes"],
        "false_values": ["no"],
        "date_formats": ["%Y-%m-%d"],
        "key": "id",
        "target": "outcome",
        "max_rejected_share": 0.9,
    },
    "training": {
        "model": "gradient_boosting",
        "test_share": 0.2,
        "settings": {
            "gradient_boosting": {"max_leaf_nodes": 8, "max_iter": 50},
            "random_forest": {"n_estimators": 20},
        },
    },
    "serving": {},
}


def make_lines(count: int, target: str = "classes") -> list[str]:
    """Make rows of the table as lines of CSV, whose target depends on the features."""
    draw = random.Random(0)
    lines = []
    for number in range(count):
        charges = draw.uniform(0, 100)
        size = draw.choice(["Small", "Large"])
        score = charges / 50 + (size == "Large") + draw.gauss(0, 0.3)
        outcome = (
            f"{score:.3f}" if target == "numbers" else ["lost", "won"][score > 1.5]
        )
        cells = [
            f"{charges:.2f}",
            str(draw.randrange(5)),
            size,
            draw.choice(["yes", "no"]),
            f"20{draw.randrange(10, 26)}-0{draw.randrange(1, 9)}-1{draw.randrange(9)}",
        ]
        cells = ["" if draw.random() < 0.1 else cell for cell in cells]
        lines.append(",".join([f"k{number}", *cells, outcome]))
    return lines


def write_raw(
    config: Config, lines: list[str], header: list[str] | None = None
) -> Path:
    """Write the raw file of a project."""
    file = config.root / "data" / "raw" / "table.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "\n".join([",".join(header or HEADER), *lines, ""]), encoding="utf-8"
    )
    return file


def make_project(root: Path, target: str = "classes") -> Config:
    """Make a project of the tests' own in a folder, to predict classes or numbers."""
    schema = deepcopy(SCHEMA)
    if target == "numbers":
        schema["columns"]["outcome"] = {"dtype": "float64"}
    (root / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    (root / "schema.yaml").write_text(
        yaml.safe_dump(schema, sort_keys=False), encoding="utf-8"
    )
    return read_config(root)


def train_model(config: Config, model: str = "gradient_boosting") -> Trained:
    """Train a model on the processed table of a project."""
    table = read_table(config)
    frame = read_processed(config.paths.processed, table)
    dataset = make_dataset(frame, table, config.training)
    return Trained(dataset, fit_model(dataset, model, config.training))


def check_answers(
    answers: Sequence[Mapping[str, Any]], trained: Trained, X: pd.DataFrame
) -> None:
    """The answers of the service are those of scikit-learn's pipeline."""
    dataset, pipeline = trained
    if dataset.table.task == "regression":
        expected = pipeline.predict(X) + dataset.offset
        found = [answer["prediction"] for answer in answers]
        tolerance = 1e-4 * dataset.y.std()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        return
    expected = pipeline.predict_proba(X)
    served = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-4)
    names = tuple(name_label(label) for label in dataset.labels)
    assert {tuple(answer["probabilities"]) for answer in answers} == {names}
    for answer in answers:
        best = max(answer["probabilities"].values())
        label = name_label(answer["prediction"])
        assert answer["probabilities"][label] == best


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models are fitted fastest by one thread, above all on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A project of the tests' own with an empty data folder."""
    return make_project(tmp_path)


@pytest.fixture(scope="session", params=["classes", "numbers"])
def trained_config(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Config:
    """A project of the tests' own after its pipeline and its training."""
    config = make_project(tmp_path_factory.mktemp(request.param), request.param)
    write_raw(config, make_lines(300, request.param))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    run(config.paths.processed, "gradient_boosting", config.paths.model, config)
    return config


@pytest.fixture(scope="session")
def own_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The project's own config, but with its outputs in a temporary folder."""
    config = read_config(ROOT)
    folder = tmp_path_factory.mktemp("own")
    changed = {name: folder / path.name for name, path in config.paths if name != "raw"}
    return config.model_copy(update={"paths": config.paths.model_copy(update=changed)})


@pytest.fixture(scope="session")
def own_raw(own_config: Config) -> RawData:
    """The first rows of the project's own raw table."""
    rows = load_raw(own_config).head(OWN_ROWS)
    return RawData(rows, pd.DataFrame())


@pytest.fixture(scope="session")
def own_processed(own_raw: RawData, own_config: Config) -> pd.DataFrame:
    """The project's own table, cleaned."""
    return transform(own_raw.rows, read_table(own_config)).kept


@pytest.fixture(scope="session")
def own_table() -> Table:
    """What the project's own schema says."""
    return read_table(read_config(ROOT))
