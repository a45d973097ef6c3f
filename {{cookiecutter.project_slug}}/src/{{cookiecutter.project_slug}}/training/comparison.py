"""Compare models on the same folds, and search for better settings."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import RandomizedSearchCV

from ..config import TrainingConfig
from ..evaluation import Metric, find_scorer
from ..model_training import (
    MODELS,
    SEARCH_SPACES,
    Dataset,
    build_pipeline,
    cross_validate_model,
    folds_of,
)
from ..utils import UserError

log = logging.getLogger("train")


class Score(NamedTuple):
    """The metric of a model on each fold, and the mean seconds to fit and to score."""

    model: str
    values: list[float]
    fit_seconds: float
    score_seconds: float

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return float(np.nanmean(self.values))

    @property
    def standard_deviation(self) -> float:
        """The standard deviation over the folds."""
        return float(np.nanstd(self.values, ddof=1))


def compare_models(
    dataset: Dataset, metric: Metric, config: TrainingConfig
) -> list[Score]:
    """Cross-validate every model on the same folds, the best first."""
    scorer = find_scorer(metric, len(dataset.labels))
    scores = []
    for model in MODELS[dataset.table.task]:
        folds = cross_validate_model(dataset, model, scorer, config)
        values = metric.sign * folds["test_score"]
        seconds = folds["fit_time"].mean(), folds["score_time"].mean()
        scores.append(Score(model, values.tolist(), *seconds))
    return sorted(scores, key=lambda score: -metric.sign * score.mean)


def choose_model(
    scores: Sequence[Score], simplest_first: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the simplest of the models that tie with the best, and all that tie.

    The rule is that of Breiman and others, "Classification and regression trees", 1984.
    """
    ties = [each.model for each in scores if is_tie(scores[0].values, each.values)]
    return min(ties, key=list(simplest_first).index), ties


def is_tie(values: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the mean difference over the folds is within one standard deviation."""
    differences = np.subtract(values, others)
    spread = np.nanstd(differences, ddof=1)
    return not abs(np.nanmean(differences)) > spread


def choose(
    dataset: Dataset, metrics: Mapping[str, Metric], config: TrainingConfig
) -> tuple[str, list[dict[str, Any]]]:
    """Compare all models; return the chosen one, and a record of the comparison."""
    metric_name, metric = next(iter(metrics.items()))
    scores = compare_models(dataset, metric, config)
    choice, ties = choose_model(scores, list(MODELS[dataset.table.task]))
    comparison = []
    for score in scores:
        note = "worse"
        if score.model == choice:
            note = "the best" if len(ties) == 1 else "the simplest of a tie"
        elif score.model in ties:
            note = "a tie with the best"
        log.info(
            "%s: %s %.4g ± %.2g, %.2f s to fit, %.2f s to score; %s",
            *(score.model, metric_name, score.mean, score.standard_deviation),
            *(score.fit_seconds, score.score_seconds, note),
        )
        comparison.append(
            {
                "model": score.model,
                "mean": score.mean,
                "standard_deviation": score.standard_deviation,
                "fit_seconds": score.fit_seconds,
                "score_seconds": score.score_seconds,
                "note": note,
            }
        )
    log.info("chosen: %s", choice)
    return choice, comparison


def tune(
    dataset: Dataset,
    model: str,
    metrics: Mapping[str, Metric],
    config: TrainingConfig,
    candidates: int,
    scheduler: str | None = None,
) -> tuple[TrainingConfig, dict[str, Any]]:
    """Try settings drawn from the model's search space on the folds.

    Returns the config with the best of them, and a record of the search.
    """
    space = SEARCH_SPACES.get(model)
    if not space:
        raise UserError(
            f"{model} has no settings to try; add them to SEARCH_SPACES in "
            "model_training.py"
        )
    metric = next(iter(metrics.values()))
    scorer = find_scorer(metric, len(dataset.labels))
    search = RandomizedSearchCV(
        build_pipeline(model, dataset.table.task, dataset.X_train, config),
        {f"model__{name}": values for name, values in space.items()},
        n_iter=candidates,
        scoring=scorer,
        cv=folds_of(dataset, config),
        refit=False,
        n_jobs=-1,
        random_state=config.random_seed,
        error_score="raise",
        verbose=int(sys.stderr.isatty()),
    )
    with workers_of(scheduler):
        search.fit(dataset.X_train, dataset.y_train)

    untuned = cross_validate_model(dataset, model, scorer, config)["test_score"]
    folds = range(len(untuned))
    results = search.cv_results_
    tuned = [results[f"split{fold}_test_score"][search.best_index_] for fold in folds]
    best = {
        name.removeprefix("model__"): _plain(value)
        for name, value in search.best_params_.items()
    }
    record = {
        "score": metric.sign * float(np.mean(tuned)),
        "untuned": metric.sign * float(np.mean(untuned)),
        "tie": is_tie(tuned, untuned.tolist()),
        "candidates": candidates,
        "folds": len(untuned),
    }
    if np.mean(tuned) <= np.mean(untuned):
        log.warning("no settings are better than those in config.yaml, which stay")
        return config, {**record, "score": record["untuned"], "tie": True}
    if record["tie"]:
        log.warning("the best settings tie with those in config.yaml")
    config = config.with_settings(model, best)
    text = json.dumps(config.settings[model])
    log.info("to keep them, set in config.yaml: training.settings.%s: %s", model, text)
    return config, record


def workers_of(scheduler: str | None) -> AbstractContextManager[None]:
    """Let the workers of a Dask cluster do the search, or this machine's processors."""
    if not scheduler:
        return nullcontext()
    from ..etl import cluster  # Dask is an extra; see docs/production.md

    return cluster.lend_workers(scheduler)


def _plain(value: Any) -> Any:
    """Return a number as it can be written into config.yaml, in three digits."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.3g}") if isinstance(value, float) else value
