"""Train a model on the processed table, evaluate it on test rows, and save it.

Examples:
    uv run train
    uv run train --model all
    uv run train --model random_forest --set min_samples_leaf=20 --output models/rf.onnx
    uv run train --tune 30
    uv run train --tune 200 --scheduler tcp://10.0.0.1:8786
    uv run train --list
"""

import argparse
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import yaml
from threadpoolctl import threadpool_limits

from ..config import Config, TrainingConfig, read_config
from ..evaluation import format_metrics, list_metrics
from ..feature_engineering import FEATURES, usable_features
from ..model_training import MODELS, Dataset, find_model, fit_model, make_dataset
from ..schema import Table, read_table
from ..utils import (
    UserError,
    command,
    command_line,
    set_up_logging,
    write_atomically,
)
from .comparison import choose, tune
from .description import describe, describe_origin
from .export import export_pipeline
from .leaks import check_leaks
from .model_card import draw_card
from .saving import save_model, show_history

ALL = "all"
FEW_ROWS = 20_000

log = logging.getLogger("train")


def run(
    data: Path,
    model: str,
    output: Path,
    config: Config,
    candidates: int = 0,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Train, evaluate and save a model. Returns the record that is saved beside it."""
    start = time.perf_counter()
    table, settings = read_table(config), config.training
    metrics = list_metrics(settings.metric, table.task)
    check_output(output)
    if model != ALL:
        find_model(model, table.task)
    dataset = load_dataset(data, table, settings)

    now = datetime.now(UTC).isoformat(timespec="seconds")
    origin: dict[str, Any] = {"trained": now, "comparison": [], "tuning": None}
    with limit_threads(len(dataset.rows)):
        if model == ALL:
            model, origin["comparison"] = choose(dataset, metrics, settings)
        if candidates:
            search = candidates, scheduler
            settings, origin["tuning"] = tune(
                dataset, model, metrics, settings, *search
            )
        log.info("training %s", model)
        pipeline = fit_model(dataset, model, settings)
        exported = export_pipeline(pipeline, dataset, model)

    about = describe(
        dataset, model, pipeline, exported.outputs, metrics, settings, data
    )
    report(about)
    origin["seconds"] = time.perf_counter() - start
    origin |= describe_origin(about, data, dataset, exported.outputs, config)
    record = save_model(output, dataset, exported.onnx_model, about, origin)
    card = config.root / "reports" / f"{output.stem}_card.html"
    with write_atomically(card) as file:
        file.write_text(draw_card(record), encoding="utf-8")
    log.info("saved %s and %s in %.1f s", output, card, time.perf_counter() - start)
    return record


def load_dataset(data: Path, table: Table, config: TrainingConfig) -> Dataset:
    """Read the processed table, compute its features, and refuse target leakage."""
    frame = read_processed(data, table, config)
    log.info("predicting %s from %d rows", table.target.name, len(frame))
    usable = [each.name for each in usable_features(table.features)]
    for name in FEATURES:
        if name not in usable:
            log.info("feature left out, the table lacks its columns: %s", name)
    dataset = make_dataset(frame, table, config)
    check_leaks(dataset.rows, dataset.y, table)
    return dataset


def read_processed(path: Path, table: Table, config: TrainingConfig) -> pd.DataFrame:
    """Read what training needs of the processed table: Parquet, or a folder of it."""
    if not path.exists():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not Parquet; create it with: uv run pipeline.py"
        ) from error
    names = [column.name for column in (*table.features, table.target)]
    names += filter(None, [config.date, config.group, *(config.slices or [])])
    for name in names:
        if name not in frame:
            raise UserError(
                f"{path} has no column {name!r}; run again: uv run pipeline.py"
            )
    return frame[list(dict.fromkeys(names))]


def limit_threads(rows: int) -> Any:
    """Return a context with one thread where rows are few and threads only wait.

    Linear algebra always has one thread: with more, sums depend on their number.
    """
    limits = {"blas": 1}
    if rows < FEW_ROWS:
        limits["openmp"] = 1
    return threadpool_limits(limits)


def report(about: Mapping[str, Any]) -> None:
    """Log how good a model is."""
    metric = about["metric"]
    low, high = about["intervals"][metric]
    log.info("test:     %s", format_metrics(about["metrics"]))
    log.info("baseline: %s", format_metrics(about["baseline"]))
    log.info("%s: 95 %% confidence interval %.4g to %.4g", metric, low, high)
    for note in about["notes"]:
        log.warning("%s", note)


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
        "--output", metavar="PATH", type=Path, help="model file to write, .onnx"
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
    return parser.parse_args()


@command
def main() -> None:
    """Train from the command line."""
    options = read_options()
    config = read_config()
    output = options.output or config.paths.model
    if options.list:
        print(show_history(output.parent))
        return
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
    set_up_logging(config.paths.logs / "train.log")
    data = options.data or config.paths.processed
    run(data, model, output, config, options.tune, options.scheduler)
