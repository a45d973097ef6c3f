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
import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import yaml
from threadpoolctl import threadpool_limits

from ..config import Config, TrainingConfig, read_config
from ..evaluation import Metric, format_metrics, format_number, list_metrics
from ..feature_engineering import FEATURES, usable_features
from ..model_training import MODELS, Dataset, find_model, fit_model, make_dataset
from ..prediction import predict_features
from ..schema import Table, read_table
from ..utils import (
    UserError,
    command,
    command_line,
    nearest,
    set_up_logging,
)
from .comparison import choose, tune
from .description import describe_model, describe_origin, show_metrics
from .export import export_pipeline
from .leaks import check_leaks
from .model_card import draw_card
from .promotion import (
    Decision,
    archive_path,
    card_path,
    decide,
    prune,
    publish,
    roll_back,
)
from .saving import (
    as_json,
    describe_file,
    list_versions,
    serialize_model,
    show_history,
    write_files,
    write_history,
)
from .thresholds import check_threshold, choose_threshold

ALL = "all"
FEW_ROWS = 20_000

log = logging.getLogger("train")


class Trained(NamedTuple):
    """The content of a model file, what is known of it, and its test outputs."""

    content: bytes
    about: dict[str, Any]
    outputs: np.ndarray


def run(
    data: Path,
    model: str,
    output: Path,
    config: Config,
    candidates: int = 0,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Train, evaluate and save a model. Returns its record, which is saved beside it.

    If the output is the served model's file, the new model is archived, and takes the
    place of the served one only if it is promoted.
    """
    start = time.perf_counter()
    table, settings = read_table(config), config.training
    check_output(output)
    if model != ALL:
        find_model(model, table.task)
    dataset = load_dataset(data, table, settings)
    metrics = list_metrics(settings.metric, table.task, len(dataset.labels))

    origin = describe_origin(data, config)
    with limit_threads(len(dataset.rows)):
        if model == ALL:
            model, origin["comparison"] = choose(dataset, metrics, settings)
        if candidates:
            search = candidates, scheduler
            settings, origin["tuning"] = tune(
                dataset, model, metrics, settings, *search
            )
        trained = train_model(dataset, model, metrics, settings)
    report(trained.about)
    origin["seconds"] = time.perf_counter() - start
    return save_model(trained, dataset, metrics, output, origin, config)


def train_model(
    dataset: Dataset, model: str, metrics: dict[str, Metric], config: TrainingConfig
) -> Trained:
    """Fit a model, export it, and evaluate what was exported."""
    log.info("training %s", model)
    threshold = choose_threshold(dataset, model, config)
    pipeline = fit_model(dataset, model, config)
    exported = export_pipeline(pipeline, dataset, model)
    outputs = predict_features(exported.outputs, dataset.X_test)
    about = describe_model(
        *(dataset, model, pipeline, exported.outputs, outputs),
        *(metrics, threshold, config),
    )
    about = as_json({**about, "versions": list_versions()})
    content = serialize_model(exported, dataset, outputs, about)
    return Trained(content, about, outputs)


def save_model(
    trained: Trained,
    dataset: Dataset,
    metrics: dict[str, Metric],
    output: Path,
    origin: dict[str, Any],
    config: Config,
) -> dict[str, Any]:
    """Write the model file, its JSON and its card, and serve it if it is promoted."""
    file, decision = describe_file(output, trained.content), None
    if output == config.paths.model:
        metric = next(iter(metrics.values()))
        decision = decide(
            *(file["sha256"], trained.outputs, trained.about),
            *(dataset, metric, output, config.training),
        )
        output = archive_path(output, origin["trained"], file["sha256"])
        file["path"] = output.as_posix()

    record = describe_record(trained.about, origin, dataset, file, decision)
    write_model(output, trained, record, dataset, config)
    log.info("saved %s in %.1f s", output, origin["seconds"])
    if decision and decision.promoted:
        publish(output, config)
        prune(config)
        log.info("promoted: %s", decision.reason)
    elif decision:
        log.warning("not promoted: %s", decision.reason)
    write_history(config.paths.model.parent if decision else output.parent, record)
    return record


def describe_record(
    about: dict[str, Any],
    origin: dict[str, Any],
    dataset: Dataset,
    file: dict[str, str],
    decision: Decision | None,
) -> dict[str, Any]:
    """Return the content of the JSON file beside a model file."""
    added = {
        "data": {**about["data"], **origin["data"]},
        "table": asdict(dataset.table),
        "labels": dataset.labels,
        "file": file,
        "promotion": decision and decision._asdict(),
    }
    return as_json({**about, **origin, **added})


def write_model(
    output: Path,
    trained: Trained,
    record: dict[str, Any],
    dataset: Dataset,
    config: Config,
) -> None:
    """Write a model file, its JSON and its card."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    page = draw_card(record, dataset.y_test, trained.outputs, config.root)
    write_files(
        {
            output: trained.content,
            output.with_suffix(".json"): text.encode(),
            card_path(output, config): page.encode(),
        }
    )


def load_dataset(data: Path, table: Table, config: TrainingConfig) -> Dataset:
    """Read the processed table, compute its features, and refuse target leakage."""
    frame = read_processed(data, table, config)
    log.info("predicting %s from %d rows", table.target.name, len(frame))
    usable = [each.name for each in usable_features(table.features)]
    for name in FEATURES:
        if name not in usable:
            log.info("feature left out, the table lacks its columns: %s", name)
    dataset = make_dataset(frame, table, config)
    check_threshold(dataset, config)
    check_leaks(dataset.rows, dataset.y, table)
    return dataset


def read_processed(path: Path, table: Table, config: TrainingConfig) -> pd.DataFrame:
    """Read what training needs of the processed table: Parquet, or a folder of it."""
    names = [column.name for column in (*table.features, table.target)]
    names += [*table.key, *name_columns(table, config)]
    if not path.exists():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not Parquet; create it with: uv run pipeline.py"
        ) from error
    for name in names:
        if name not in frame:
            raise UserError(
                f"{path} has no column {name!r}; run again: uv run pipeline.py"
            )
    return frame[list(dict.fromkeys(names))]


def name_columns(table: Table, config: TrainingConfig) -> list[str]:
    """Return the columns that config.yaml names under `training`. They must exist."""
    options = {"date": [config.date], "group": [config.group], "slices": config.slices}
    known = [column.name for column in table.columns]
    found = []
    for option, names in options.items():
        for name in filter(None, names or []):
            if name not in known:
                raise UserError(
                    f"config.yaml: training.{option}: schema.yaml has no {name!r}"
                    f"{nearest(name, known)}"
                )
            found.append(name)
    return found


def limit_threads(rows: int) -> Any:
    """Return a context with one thread where rows are few and threads only wait.

    Linear algebra always has one thread: with more, sums depend on their number.
    """
    limits = {"blas": 1}
    if rows < FEW_ROWS:
        limits["openmp"] = 1
    return threadpool_limits(limits)


def report(about: dict[str, Any]) -> None:
    """Log how good a model is."""
    log.info("test:     %s", format_metrics(about["metrics"]))
    log.info("baseline: %s", format_metrics(about["baseline"]))
    log.info("%s", show_metrics(about))
    if about["threshold"] is not None:
        log.info("threshold: %s", format_number(about["threshold"]))
    for note in about["notes"]:
        log.warning("%s", note)


def same_path(one: Path, other: Path) -> bool:
    """Whether two paths name the same file, which need not exist."""
    return one.resolve() == other.resolve()


def check_output(output: Path) -> None:
    """Refuse a model file without the ending that says what it is."""
    if output.suffix != ".onnx":
        raise UserError(f"{output}: a model file's name must end in .onnx")


def read_setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE, the value as in config.yaml."""
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name, yaml.safe_load(value)
    except yaml.YAMLError:
        pass
    raise UserError(f"--set {text}: write it like --set max_depth=6")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    names = sorted({name for models in MODELS.values() for name in models})
    parser = command_line(__doc__)
    parser.add_argument(
        "--data", metavar="PATH", type=Path, help="processed table, Parquet"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"one of {', '.join(names)}; all: compare them and train the best",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        type=Path,
        help="train to this file, and leave the served model alone",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting of the model; can be repeated",
    )
    parser.add_argument(
        "--tune", metavar="N", type=int, default=0, help="try N settings, keep the best"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster, for --tune"
    )
    parser.add_argument("--list", action="store_true", help="list past trainings")
    parser.add_argument(
        "--rollback", action="store_true", help="serve the previous model again"
    )
    return parser.parse_args()


@command
def main() -> None:
    """Train from the command line."""
    options = read_options()
    config = read_config()
    output = options.output or config.paths.model
    if options.list:
        print(show_history(output))
        return
    set_up_logging(config.paths.logs / "train.log")
    if options.rollback:
        log.info("rolled back to %s", roll_back(config))
        return
    if options.output and same_path(output, config.paths.model):
        raise UserError(
            f"{output} is the served model; omit --output to replace it"
        )
    model = options.model or config.training.model
    if options.set and model == ALL:
        raise UserError("--set is for one model; name it with --model")
    if options.tune < 0:
        raise UserError("--tune needs a number of settings to try, like --tune 30")
    if options.scheduler and not options.tune:
        raise UserError("--scheduler is for --tune")
    settings = dict(read_setting(text) for text in options.set)
    training = config.training.with_settings(model, settings)
    config = config.model_copy(update={"training": training})
    data = options.data or config.paths.processed
    run(data, model, output, config, options.tune, options.scheduler)
