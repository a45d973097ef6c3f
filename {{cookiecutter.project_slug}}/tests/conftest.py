"""Two tables for the tests: one that they make, and the project's own.

The first has every kind of column, gaps, and names that are not Python identifiers. The
second is whatever is in data/raw: its tests name no column, they follow schema.yaml.
"""

import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
import pytest
import yaml
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
from matplotlib.figure import Figure
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

import pipeline
from {{ cookiecutter.project_slug }} import load_raw
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import transform
from {{ cookiecutter.project_slug }}.model_training import (
    Dataset,
    fit_model,
    make_dataset,
)
from {{ cookiecutter.project_slug }}.prediction import name_label
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.training.train import read_processed, run

ROOT = Path(__file__).resolve().parent.parent
CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
OWN_ROWS = 2000  # of the project's own table, so that tests are quick on any table


class Trained(NamedTuple):
    """A dataset, and the pipeline that was fitted to its training rows."""

    dataset: Dataset
    pipeline: Pipeline


SCHEMA = """\
schema_type: dataframe
strict: true
columns:
  id: {dtype: str}
  Total Charges:
    dtype: float64
    nullable: true
    in_range: {min_value: 0, max_value: 100}
  class: {dtype: Int64, nullable: true}
  größe: {dtype: str, nullable: true, isin: [Small, Large]}
  member: {dtype: boolean, nullable: true}
  since: {dtype: "datetime64[ns]", nullable: true}
  outcome: {dtype: str, isin: [lost, won]}
"""
HEADER = list(yaml.safe_load(SCHEMA)["columns"])
CONFIG = """\
paths:
  raw: data/raw/*.csv
  processed: data/processed/table.parquet
  rejected: data/rejected/table.csv
  model: models/model.onnx
  logs: logs
table:
  missing_values: ["", "?"]
  true_values: ["yes"]
  false_values: ["no"]
  date_formats: ["%Y-%m-%d"]
  key: id
  target: outcome
  max_rejected_share: 0.9
training:
  model: gradient_boosting
  test_share: 0.2
  settings:
    gradient_boosting: {max_leaf_nodes: 8, max_iter: 50}
    random_forest: {n_estimators: 20}
serving: {}
"""
QUICK = {  # for notebooks: figures are not drawn, models are small
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
    "SKB_MAX_ASSOCIATION_COLUMNS": "0",
    "SKB_MAX_PLOT_COLUMNS": "0",
    "TRAINING__SETTINGS": json.dumps(
        {"gradient_boosting": {"max_iter": 5}, "random_forest": {"n_estimators": 5}}
    ),
}


def make_lines(count, target="classes"):
    """Make rows of the table as lines of CSV, whose target depends on the features."""
    draw = random.Random(0)
    lines = []
    for number in range(count):
        charges = draw.uniform(0, 100)
        size = draw.choice(["Small", "Large"])
        score = charges / 50 + (size == "Large") + draw.gauss(0, 0.3)
        outcome = "won" if score > 1.5 else "lost"
        cells = [
            f"{charges:.2f}",
            str(draw.randrange(5)),
            size,
            draw.choice(["yes", "no"]),
            f"20{draw.randrange(10, 26)}-0{draw.randrange(1, 9)}-1{draw.randrange(9)}",
        ]
        cells = ["" if draw.random() < 0.1 else cell for cell in cells]
        last = f"{score:.3f}" if target == "numbers" else outcome
        lines.append(",".join([f"k{number}", *cells, last]))
    return lines


def write_csv(file, lines, header=HEADER):
    """Write a raw file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([",".join(header), *lines, ""]), encoding="utf-8")
    return file


def write_raw(config, lines, header=HEADER):
    """Write the raw file of a project."""
    return write_csv(config.root / "data" / "raw" / "table.csv", lines, header)


def make_project(root, target="classes"):
    """Make a project of the tests' own in a folder, to predict classes or numbers."""
    schema = SCHEMA
    if target == "numbers":
        schema = schema.replace("{dtype: str, isin: [lost, won]}", "{dtype: float64}")
    (root / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (root / "schema.yaml").write_text(schema, encoding="utf-8")
    return read_config(root)


def train_model(config, model="gradient_boosting"):
    """Train a model on the processed table of a project."""
    table = read_table(config)
    frame = read_processed(config.paths.processed, table)
    dataset = make_dataset(frame, table, config.training)
    return Trained(dataset, fit_model(dataset, model, config.training))


def check_answers(answers, trained, X):
    """The answers of the service are those of scikit-learn's pipeline."""
    dataset, pipeline = trained
    if dataset.table.task == "regression":
        expected = pipeline.predict(X) + dataset.offset
        found = [answer["prediction"] for answer in answers]
        tolerance = 1e-4 * dataset.y.std()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        return
    names = [name_label(label) for label in dataset.labels]
    for answer, expected in zip(answers, pipeline.predict_proba(X), strict=True):
        probabilities = answer["probabilities"]
        assert list(probabilities) == names
        np.testing.assert_allclose(list(probabilities.values()), expected, atol=1e-4)
        likeliest = probabilities[name_label(answer["prediction"])]
        assert likeliest == max(probabilities.values())


def pytest_collection_modifyitems(items):
    """Ask for the notebooks last: they run in the background."""
    items.sort(key=lambda item: "notebook" in item.fixturenames)


def run_notebook(path, kernels):
    """Run a notebook in its folder, in a kernel that forgets what ran in it before.

    A kernel for each would take most of the time to start and to import libraries.
    """
    if not kernels or not run_sync(kernels[-1].is_alive)():
        kernels.append(AsyncKernelManager(kernel_name="python3"))
    notebook = nbformat.read(path, as_version=4)
    folder = f"import os; os.chdir({str(path.parent)!r})"
    fresh = "from matplotlib import pyplot; pyplot.close('all')\n%reset -f"
    notebook.cells.insert(0, new_code_cell(f"{folder}\n{fresh}"))
    NotebookClient(notebook, km=kernels[-1]).execute(env=QUICK | os.environ)


@pytest.fixture(scope="session", autouse=True)
def runs(request):
    """Run the selected notebooks in the background, one after the other."""
    items = [item for item in request.session.items if "notebook" in item.fixturenames]
    notebooks = [item.callspec.params["notebook"] for item in items]
    kernels = []
    with ThreadPoolExecutor(1) as pool:
        yield {path: pool.submit(run_notebook, path, kernels) for path in notebooks}
        pool.shutdown(wait=False, cancel_futures=True)
    for kernel in kernels:
        run_sync(kernel.shutdown_kernel)(now=True)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small models are fitted fastest by one thread, above all on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def empty_figures(monkeypatch):
    """Figures are drawn empty, in tests that do not look at them."""
    save = Figure.savefig

    def save_empty(figure, *arguments, **options):
        figure.clear()
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save_empty)


@pytest.fixture
def config(tmp_path):
    """A project of the tests' own with an empty data folder."""
    return make_project(tmp_path)


@pytest.fixture(scope="session", params=["classes", "numbers"])
def trained_config(request, tmp_path_factory):
    """A project of the tests' own after its pipeline and its training."""
    config = make_project(tmp_path_factory.mktemp(request.param), request.param)
    write_raw(config, make_lines(300, request.param))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    run(config.paths.processed, "gradient_boosting", config.paths.model, config)
    return config


@pytest.fixture(scope="session")
def own_config(tmp_path_factory):
    """The project's own config, but with all that is written in a temporary folder."""
    config = read_config(ROOT)
    folder = tmp_path_factory.mktemp("own")
    for name in ("config.yaml", "schema.yaml"):
        shutil.copy(ROOT / name, folder)
    changed = {name: folder / path.name for name, path in config.paths if name != "raw"}
    paths = config.paths.model_copy(update=changed)
    return config.model_copy(update={"root": folder, "paths": paths, "sink": None})


@pytest.fixture(scope="session")
def own_table(own_config):
    """What the project's own schema says."""
    return read_table(own_config)


@pytest.fixture(scope="session")
def own_raw(own_config):
    """Some rows of the project's own raw table."""
    raw = load_raw(own_config)
    return raw.sample(min(OWN_ROWS, len(raw)), random_state=0).sort_index()


@pytest.fixture(scope="session")
def own_processed(own_raw, own_table):
    """The project's own table, cleaned."""
    return transform(own_raw, own_table).kept
