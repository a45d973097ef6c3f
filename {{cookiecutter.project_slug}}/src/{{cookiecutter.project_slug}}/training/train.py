"""Train a model on the processed table, evaluate it on rows it has not seen, and save it.

Examples:
    uv run train
    uv run train --model all
    uv run train --model random_forest --set min_samples_leaf=20 --output models/rf.onnx
    uv run train --tune 30
    uv run train --tune 200 --scheduler tcp://10.0.0.1:8786
    uv run train --list
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import pyarrow
import yaml
from sklearn.pipeline import Pipeline

from ..config import Config, TrainingConfig, read_config
from ..evaluation import find_metric, format_metrics
from ..model_training import (
    MODELS,
    Prepared,
    build_for,
    find_recipe,
    fit_model,
    limit_threads,
)
from ..schema import Table, read_table
from ..utils import (
    UserError,
    command,
    command_line,
    fingerprint,
    set_up_logging,
    write_atomically,
)
from .description import describe, describe_data, measure_curves, read_commit
from .model_card import draw_card
from .model_saving import convert_to_onnx, save_model, show_history
from .model_selection import choose_model, compare_models, is_tie, tune
from .preparation import make_folds, prepare

ALL = "all"

log = logging.getLogger("train")


def run(
    data: Path,
    model: str,
    output: Path,
    config: Config,
    candidates: int = 0,
    scheduler: str | None = None,
) -> None:
    """Train, evaluate and save a model, and say how good it is beside the baseline."""
    start, now = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    table, settings = read_table(config), config.training
    metric = find_metric(settings.metric, table.task)
    if output.suffix != ".onnx":
        raise UserError(f"{output}: a model file's name must end in .onnx")
    if model != ALL:
        find_recipe(model, table.task)
    frame = read_processed(data, table, settings)
    log.info(
        "training %s to predict %s from %d rows", model, table.target.name, len(frame)
    )
    prepared = prepare(frame, table, settings)
    model, comparison = choose(prepared, model, metric, settings)
    with work_on(scheduler):
        settings, tuning = search(prepared, model, metric, settings, candidates)
    trained = fit_model(prepared, model, settings)
    graph, answer = convert_to_onnx(trained)
    about = describe(trained, answer, metric, settings, fingerprint(data))

    low, high = about["intervals"][metric]
    log.info("test:     %s", format_metrics(trained.metrics))
    log.info("baseline: %s", format_metrics(trained.baseline))
    log.info("%s is between %.4g and %.4g with 95 %% confidence", metric, low, high)
    for note in about["notes"]:
        log.warning("%s", note)
    actual = prepared.target[prepared.split.test]
    origin = {
        "trained": now,
        "seconds": time.perf_counter() - start,
        "comparison": comparison,
        "tuning": tuning,
        "curves": measure_curves(actual, trained.outputs, table.task),
        "config": fingerprint(config.root / "config.yaml"),
        "schema": fingerprint(config.schema_file),
        "git": read_commit(config.root),
        "data": about["data"] | describe_data(data),
    }
    record = save_model(output, trained, graph, about, origin)
    card = config.root / "reports" / f"{output.stem}_card.html"
    with write_atomically(card) as file:
        file.write_text(draw_card(record), encoding="utf-8")
    log.info("saved %s and %s in %.1f s", output, card, time.perf_counter() - start)


def read_processed(path: Path, table: Table, config: TrainingConfig) -> pd.DataFrame:
    """Read what training needs of the processed table, a Parquet file or a folder of them."""
    if not path.exists():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not Parquet; make it with: uv run pipeline.py"
        ) from error
    names = [column.name for column in (*table.features, table.target)]
    names += filter(None, [config.date, config.group, *(config.slices or [])])
    missing = [name for name in names if name not in frame]
    if missing:
        raise UserError(
            f"{path} has no column {missing[0]!r}; run again: uv run pipeline.py"
        )
    return frame[list(dict.fromkeys(names))]


def choose(
    prepared: Prepared, model: str, metric: str, config: TrainingConfig
) -> tuple[str, list[dict[str, Any]]]:
    """Return the model that is asked for; of all, the best, and how good each of them was."""
    if model != ALL:
        return model, []
    names = list(MODELS[prepared.table.task])
    pipelines = {name: build_for(prepared, name, config) for name in names}
    with limit_threads(len(prepared.frame)):
        scores = compare_models(pipelines, **on_folds(prepared, metric, config))
    choice, ties = choose_model(scores, names)
    comparison = []
    told = "%s: %s %.4g ± %.2g, %.2f s to fit, %.2f s to predict; %s"
    for score in scores:
        note = "a tie with the best" if score.model in ties else "worse"
        if score.model == choice:
            note = "the simplest of a tie" if len(ties) > 1 else "the best"
        seconds = {
            "fit_seconds": score.fit_seconds,
            "predict_seconds": score.predict_seconds,
        }
        log.info(
            told, score.model, metric, score.mean, score.spread, *seconds.values(), note
        )
        means = {"model": score.model, "mean": score.mean, "spread": score.spread}
        comparison.append(means | seconds | {"note": note})
    log.info("the choice is %s", choice)
    return choice, comparison


def search(
    prepared: Prepared, model: str, metric: str, config: TrainingConfig, candidates: int
) -> tuple[TrainingConfig, dict[str, Any] | None]:
    """Return the configuration with the best of so many settings, and how good they were."""
    if not candidates:
        return config, None

    def build(settings: Mapping[str, Any]) -> Pipeline:
        pipeline = build_for(prepared, model, config.with_settings(model, settings))
        if pipeline.get_params().get("model__n_jobs") == -1:
            pipeline.set_params(model__n_jobs=1)  # the processors share the fits
        return pipeline

    space = find_recipe(model, prepared.table.task).space
    if not space:
        raise UserError(
            f"{model} has no settings to try: give it a space, in model_training.py"
        )
    seed, on_all = config.random_seed, on_folds(prepared, metric, config)
    tuned = tune(build, space, candidates, seed=seed, **on_all)
    if tie := is_tie(tuned.metrics, tuned.before):
        log.warning(
            "a tie: the best settings lead by no more than the spread of their lead"
        )
    changed = config.with_settings(model, tuned.settings)
    text = json.dumps(changed.settings[model])
    log.info(
        "to keep them, write into config.yaml, training, settings: %s: %s", model, text
    )
    scores = {"score": mean(tuned.metrics), "untuned": mean(tuned.before), "tie": tie}
    return changed, scores | {"candidates": candidates, "folds": len(tuned.metrics)}


def on_folds(prepared: Prepared, metric: str, config: TrainingConfig) -> dict[str, Any]:
    """Return what models are compared on: the training rows, their folds, and the metric."""
    rows = prepared.split.train
    target, order = prepared.target[rows], prepared.order.take(rows)
    return {
        "features": prepared.known,
        "target": target,
        "folds": make_folds(target, prepared.table.task, config, order),
        "classes": len(prepared.labels),
        "metric": metric,
    }


def work_on(scheduler: str | None) -> AbstractContextManager[None]:
    """Have the search done by the workers of a Dask cluster, or by this machine's processors."""
    if not scheduler:
        return nullcontext()
    from ..etl import cluster  # Dask is an extra, see docs/production.md

    return cluster.lend_workers(scheduler)


def read_setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE, the value as in config.yaml."""
    name, equals, value = text.partition("=")
    try:
        if name and equals:
            return name, yaml.safe_load(value)
    except yaml.YAMLError:
        pass
    raise UserError(f"--set {text}: write it as in --set max_depth=6")


@command
def main() -> None:
    """Train from the command line."""
    names = sorted({name for models in MODELS.values() for name in models})
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--data", metavar="PATH", type=Path, help="processed table, Parquet")
    add(
        "--model",
        metavar="NAME",
        help=f"one of {', '.join(names)}; all: compare, keep the best",
    )
    add("--output", metavar="PATH", type=Path, help="model file to write, .onnx")
    how: dict[str, Any] = {"metavar": "NAME=VALUE", "action": "append", "default": []}
    add("--set", **how, help="a setting of the model; may come again")
    add(
        "--tune",
        metavar="N",
        type=int,
        default=0,
        help="try N settings and keep the best",
    )
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster, for --tune")
    add(
        "--list",
        action="store_true",
        help="show what has been trained, and how good it was",
    )
    options = parser.parse_args()

    config = read_config()
    output = options.output or config.paths.model
    if options.list:
        print(show_history(output.parent))
        return
    model = options.model or config.training.model
    if options.set and model == ALL:
        raise UserError("--set is for one model; name it by --model")
    if options.tune < 0:
        raise UserError("--tune needs a number of settings to try, as in --tune 30")
    if options.scheduler and not options.tune:
        raise UserError("--scheduler is for --tune")
    given = config.training.with_settings(model, dict(map(read_setting, options.set)))
    config = config.model_copy(update={"training": given})
    set_up_logging(config.paths.logs / "train.log")
    data = options.data or config.paths.processed
    run(data, model, output, config, options.tune, options.scheduler)
