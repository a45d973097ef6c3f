"""Two tables for the tests: one they make themselves, and the project's own.

The first has every kind of column, gaps, and names that are no Python identifiers. The second is
whatever lies in data/raw: its tests know no column, they follow schema.yaml.
"""

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

import pipeline
from {{ cookiecutter.project_slug }}.config import Config, TrainingConfig, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import transform
from {{ cookiecutter.project_slug }}.etl.raw_data import RawData, read_raw_data
from {{ cookiecutter.project_slug }}.evaluation import find_metric
from {{ cookiecutter.project_slug }}.model_training import Trained, fit_model
from {{ cookiecutter.project_slug }}.prediction import DIGITS, name_label
from {{ cookiecutter.project_slug }}.schema import Table, read_schema, read_table
from {{ cookiecutter.project_slug }}.training.description import describe, describe_data
from {{ cookiecutter.project_slug }}.training.model_saving import convert_to_onnx, save_model
from {{ cookiecutter.project_slug }}.training.preparation import prepare
from {{ cookiecutter.project_slug }}.training.train import read_processed, run
from {{ cookiecutter.project_slug }}.utils import fingerprint

ROOT = Path(__file__).resolve().parent.parent
OWN_ROWS = 5000  # of the project's own table, so that the tests stay quick on any table

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
            "gradient_boosting": {"max_leaf_nodes": 8},
            "random_forest": {"n_estimators": 20},
        },
    },
    "serving": {},
}


def make_lines(count: int, target: str = "classes") -> list[str]:
    """Make rows of the table as lines of CSV; the target follows the features, with some noise."""
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
            f"20{draw.randrange(10, 26)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}",
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


def train(
    frame: pd.DataFrame, table: Table, model: str, config: TrainingConfig
) -> Trained:
    """Fit the named model on part of a processed table, and evaluate it on the rest."""
    return fit_model(prepare(frame, table, config), model, config)


def train_model(config: Config, model: str = "gradient_boosting") -> Trained:
    """Train a model on the processed table of a project."""
    table = read_table(config)
    frame = read_processed(config.paths.processed, table, config.training)
    return train(frame, table, model, config.training)


def save_trained(output: Path, trained: Trained, config: Config) -> dict[str, Any]:
    """Save a model as `uv run train` does, without a card; return its JSON."""
    graph, answer = convert_to_onnx(trained)
    metric = find_metric(config.training.metric, trained.table.task)
    data = config.paths.processed
    about = describe(trained, answer, metric, config.training, fingerprint(data))
    origin: dict[str, Any] = {
        "trained": "2026-11-23T08:00:00+00:00",
        "seconds": 0.5,
        "git": None,
    }
    origin |= {"data": about["data"] | describe_data(data)}
    return save_model(output, trained, graph, about, origin)


def rows_of(frame: pd.DataFrame, table: Table) -> list[dict[str, Any]]:
    """Return the features of a processed table as the rows of a request, before JSON."""
    features = frame[[column.name for column in table.features]]
    rows = features.astype(object).where(features.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def check_answers(
    answers: Sequence[Mapping[str, Any]],
    trained: Trained,
    features: NDArray[np.float32],
) -> None:
    """The answers of the server are those of scikit-learn where the model was trained."""
    if trained.table.task == "regression":
        numbers = trained.pipeline.predict(features)
        found = [answer["prediction"] for answer in answers]
        np.testing.assert_allclose(
            found, numbers, rtol=1e-5, atol=1e-5 * np.abs(numbers).max()
        )
        return
    expected = trained.pipeline.predict_proba(features)
    served = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5)
    best = np.round(expected, DIGITS).argmax(
        axis=1
    )  # as two equally likely ones are told apart
    assert [answer["prediction"] for answer in answers] == [
        trained.labels[code] for code in best
    ]
    assert {tuple(answer["probabilities"]) for answer in answers} == {
        tuple(name_label(label) for label in trained.labels)
    }


def make_hard_rows(frame: pd.DataFrame, table: Table, strangers: bool) -> pd.DataFrame:
    """Return the features of every row three times: as they are, with gaps, where the schema allows
    gaps, and with categories that training has not seen, where a request may have them."""
    rows = frame[[column.name for column in table.features]]
    draw = np.random.default_rng(0)
    gaps, strange = rows.copy(), rows.copy()
    for column in table.features:
        if column.nullable:
            gaps[column.name] = gaps[column.name].mask(draw.random(len(rows)) < 0.4)
        if column.kind == "category" and strangers:
            strange[column.name] = "never seen"
    return pd.concat([rows, gaps, strange], ignore_index=True)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A project of the tests' own with an empty data folder."""
    return make_project(tmp_path)


@pytest.fixture(scope="session", params=["classes", "numbers"])
def trained_config(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Config:
    """A project of the tests' own, its pipeline run and its default model trained."""
    config = make_project(tmp_path_factory.mktemp(request.param), request.param)
    write_raw(config, make_lines(300, request.param))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    run(config.paths.processed, "gradient_boosting", config.paths.model, config)
    return config


@pytest.fixture(scope="session")
def own_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The project's own config, with all that is written going to a temporary folder."""
    config = read_config(ROOT)
    folder = tmp_path_factory.mktemp("own")
    changed = {name: folder / path.name for name, path in config.paths if name != "raw"}
    return config.model_copy(update={"paths": config.paths.model_copy(update=changed)})


@pytest.fixture(scope="session")
def own_raw(own_config: Config) -> RawData:
    """The first rows of the project's own raw table."""
    columns = list(read_schema(own_config.schema_file).columns)
    raw = read_raw_data(own_config.paths.raw, columns, own_config.table)
    return RawData(raw.rows.head(OWN_ROWS), raw.places.head(OWN_ROWS), raw.broken)


@pytest.fixture(scope="session")
def own_processed(own_raw: RawData, own_config: Config) -> pd.DataFrame:
    """The project's own table, cleaned."""
    return transform(
        own_raw.rows, read_schema(own_config.schema_file), own_config.table
    ).kept


@pytest.fixture(scope="session")
def own_table() -> Table:
    """What the project's own schema says."""
    return read_table(read_config(ROOT))
