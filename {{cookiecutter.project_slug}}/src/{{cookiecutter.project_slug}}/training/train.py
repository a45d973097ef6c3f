"""Train a model on the processed table, evaluate it on test rows, and save it.

Examples:
    uv run train
    uv run train --model all
    uv run train --model random_forest --set min_samples_leaf=20 --output models/rf.onnx
    uv run train --tune 30
    uv run train --tune 200 --scheduler tcp://10.0.0.1:8786
    uv run train --list
    uv run train --rollback
"""

import argparse
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import yaml
from threadpoolctl import threadpool_limits

from ..config import Config, TrainingConfig, read_config
from ..etl.workers import lend_workers
from ..evaluation import list_metrics
from ..feature_engineering import FEATURES, features_of_table, usable_features
from ..model_training import (
    MODELS,
    Dataset,
    explain_errors,
    find_model,
    fit_model,
    make_dataset,
)
from ..prediction import predict_features
from ..schema import Table, read_table
from ..utils import (
    UserError,
    command,
    command_line,
    format_number,
    positive_integer,
    set_up_logging,
)
from .description import describe_model, describe_origin
from .export import export_pipeline, serialize_model
from .leaks import check_leaks
from .promotion import Trained, roll_back, save_model, show_history
from .selection import choose_threshold, compare_models, tune

ALL = "all"
MANY_ROWS = 20_000
CHECKED_ROWS = 8

log = logging.getLogger("train")


def run(
    data: Path,
    model: str,
    output: Path,
    config: Config,
    candidates: int = 0,
    scheduler: str | None = None,
) -> dict:
    """Train, evaluate and save a model. Returns its record, which is saved beside it.

    If the output is the served model's file, the new model is archived, and takes the
    place of the served one only if it is promoted.
    """
    start = time.perf_counter()
    table = read_table(config)
    training = config.training
    if output.suffix != ".onnx":
        raise UserError(f"{output}: a model file's name must end in .onnx")
    if model != ALL:
        find_model(model, table.task)

    dataset = load_dataset(data, table, training)
    metrics = list_metrics(training.metric, table.task, len(dataset.labels))
    metric = next(iter(metrics.values()))

    origin = describe_origin(data, config)
    with limit_threads(len(dataset.rows)):
        if model == ALL:
            model, origin["comparison"] = compare_models(dataset, metric, training)
        if candidates:
            with lend_workers(scheduler):
                training, origin["tuning"] = tune(
                    dataset, model, metric, training, candidates
                )

        trained = train_model(dataset, model, metrics, training)

    report(trained.about)
    origin["seconds"] = time.perf_counter() - start

    return save_model(trained, output, origin, config)


def load_dataset(data: Path, table: Table, config: TrainingConfig) -> Dataset:
    """Read the processed table and compute its features.

    Logs the features that are left out. Raises UserError if there is no such table, or
    if a column determines the target.
    """
    frame = read_processed(data, table)
    log.info("predicting %s from %d rows", table.target.name, len(frame))

    usable = {each.name for each in usable_features(table.features)}
    for name in sorted(FEATURES.keys() - usable):
        log.info("feature left out, a column is missing or is not a number: %s", name)

    dataset = make_dataset(frame, table, config)
    _check_features(dataset)
    check_leaks(dataset.rows, dataset.y, table)

    return dataset


def _check_features(dataset: Dataset) -> None:
    """Refuse features of a row that depend on other rows: the service has one alone."""
    rows = dataset.rows.head(CHECKED_ROWS)
    columns = dataset.table.features
    alone = [features_of_table(rows[at : at + 1], columns) for at in range(len(rows))]
    for name, values in pd.concat(alone).items():
        if not values.equals(dataset.X[name].head(CHECKED_ROWS)):
            raise UserError(
                f"the feature {name!r} depends on other rows; statistics belong in the "
                "model's pipeline (model_training.py)"
            )


def read_processed(path: Path, table: Table) -> pd.DataFrame:
    """Read the processed table, a Parquet file."""
    if not path.is_file():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")

    try:
        return pd.read_parquet(path, columns=[column.name for column in table.columns])
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is not Parquet with the columns of schema.yaml; "
            "run: uv run pipeline.py"
        ) from error


def train_model(
    dataset: Dataset, model: str, metrics: dict, config: TrainingConfig
) -> Trained:
    """Fit a model, export it, and evaluate what was exported.

    Raises UserError if it can't be fitted, or can't be exported with the same answers.
    """
    log.info("training %s", model)
    with explain_errors(model):
        threshold = choose_threshold(dataset, model, config)
        pipeline = fit_model(dataset, model, config)
        onnx_model, predict = export_pipeline(pipeline, dataset, model)

    outputs = predict_features(predict, dataset.X_test)
    about = describe_model(dataset, model, predict, outputs, metrics, threshold, config)
    content = serialize_model(onnx_model, dataset, predict, outputs, about)

    return Trained(content, about, outputs, metrics[about["metric"]], dataset)


def limit_threads(rows: int) -> Any:
    """Return a context with one thread where rows are few and threads only wait.

    Linear algebra always has one thread: with more, sums depend on their number.
    """
    return threadpool_limits(1, user_api="blas" if rows >= MANY_ROWS else None)


def report(about: dict) -> None:
    """Log how good a model is."""
    for title, rows in (("test", "metrics"), ("baseline", "baseline")):
        values = [
            f"{name} {format_number(value)}" for name, value in about[rows].items()
        ]
        log.info("%s: %s", title, ", ".join(values))

    low, high = map(format_number, about["intervals"][about["metric"]])
    log.info("%s: 95 %% confidence interval %s to %s", about["metric"], low, high)
    if about["threshold"] is not None:
        log.info("threshold: %s", format_number(about["threshold"]))

    for note in about["notes"]:
        log.warning("%s", note)


def read_setting(text: str) -> tuple:
    """Read NAME=VALUE, the value as in config.yaml.

    Raises UserError if it is written in another way.
    """
    name, equals, value = text.partition("=")
    if name and equals:
        with suppress(yaml.YAMLError):
            return name, yaml.safe_load(value)

    raise UserError(f"--set {text}: write it like --set max_depth=6")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    names = sorted({name for models in MODELS.values() for name in models})
    which = f"one of {', '.join(names)}; all: compare them and train the best"
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--data", metavar="PATH", type=Path, help="processed table, Parquet")
    add("--model", metavar="NAME", help=which)
    add("--output", metavar="PATH", type=Path, help="the served model stays as it is")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="can repeat")
    add("--tune", metavar="N", type=positive_integer, default=0, help="settings to try")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster, for --tune")
    add("--list", action="store_true", help="list past trainings")
    add("--rollback", action="store_true", help="serve the previous model again")

    return parser.parse_args()


@command
def main() -> None:
    """Train from the command line."""
    options = read_options()
    config = read_config()
    served = config.paths.model
    if options.list:
        print(show_history(options.output or served))
        return

    set_up_logging(config.paths.logs / "train.log")
    if options.rollback:
        log.info("rolled back to %s", roll_back(config))
        return
    if options.output and options.output.resolve() == served.resolve():
        raise UserError(
            f"{served} is the served model; without --output a better one replaces it"
        )

    model = options.model or config.training.model
    if options.set and model == ALL:
        raise UserError("--set is for one model; name it with --model")
    if options.scheduler and not options.tune:
        raise UserError("--scheduler is for --tune")

    settings = dict(map(read_setting, options.set))
    training = config.training.with_settings(model, settings)
    config = config.model_copy(update={"training": training})
    data = options.data or config.paths.processed
    run(data, model, options.output or served, config, options.tune, options.scheduler)
