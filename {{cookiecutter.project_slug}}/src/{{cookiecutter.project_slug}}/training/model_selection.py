"""Compare models on the same folds, and search for better settings."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import ParameterSampler
from sklearn.pipeline import Pipeline
from sklearn.utils import resample
from tqdm import tqdm

from ..evaluation import evaluate, merit, predict_outputs
from ..model_training import Split, take_known
from ..utils import UserError
from .preparation import repeat_alone

KEPT = 3  # of the settings in a search one in so many goes on, with as many times more rows
FEWEST_ROWS = 2_000  # to learn from in the first round of a search

log = logging.getLogger("train")


class Score(NamedTuple):
    """How good a model was on each fold; the mean seconds to fit and to predict one."""

    model: str
    metrics: list[float]
    fit_seconds: float
    predict_seconds: float

    @property
    def mean(self) -> float:
        """The mean of the metric over the folds."""
        return float(np.nanmean(self.metrics))

    @property
    def spread(self) -> float:
        """The standard deviation of the metric over the folds."""
        return float(np.nanstd(self.metrics, ddof=1))


class Tuned(NamedTuple):
    """The best settings that a search has found, and the metric on each fold with them; beside it
    that with the settings there were.
    """

    settings: dict[str, Any]
    metrics: list[float]
    before: list[float]


def score_folds(
    pipeline: Pipeline,
    features: NDArray[np.float32],
    target: NDArray[Any],
    folds: Sequence[Split],
    classes: int,
    metric: str,
) -> pd.DataFrame:
    """Fit and evaluate a model on folds.

    Returns a row a fold: `merit` (the metric, the more, the better), `fit_time` and `predict_time`
    in seconds.
    """
    scores = []
    for train, test in folds:
        start = time.perf_counter()
        try:
            model = clone(pipeline).fit(take_known(features, train), target[train])
        except ValueError as error:
            name, reason = type(pipeline[-1]).__name__, " ".join(str(error).split())
            raise UserError(f"{name} can't be trained on a fold: {reason}") from error
        fitted = time.perf_counter()
        outputs = predict_outputs(model, features[test], classes)
        seconds = {
            "fit_time": fitted - start,
            "predict_time": time.perf_counter() - fitted,
        }
        value = evaluate(target[test], outputs)[metric]
        scores.append({"merit": merit(value, metric)} | seconds)
    return pd.DataFrame(scores)


def compare_models(
    models: Mapping[str, Pipeline],
    features: NDArray[np.float32],
    target: NDArray[Any],
    folds: Sequence[Split],
    classes: int,
    metric: str,
) -> list[Score]:
    """Judge every model on the same folds, the best first."""
    scores = []
    for name, pipeline in models.items():
        found = score_folds(pipeline, features, target, folds, classes, metric)
        metrics = [merit(value, metric) for value in found["merit"]]
        seconds = found[["fit_time", "predict_time"]].mean().tolist()
        scores.append(Score(name, metrics, *seconds))
    return sorted(scores, key=lambda score: -merit(score.mean, metric))


def is_tie(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the lead over the other, on the same folds, is no larger than its spread over them.

    Then other rows could turn it round.
    """
    leads = np.subtract(one, other)
    return not abs(np.nanmean(leads)) > np.nanstd(leads, ddof=1)


def choose_model(
    scores: Sequence[Score], simplest_first: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the model to take, and all that are as good as the best: of these, the simplest.

    After Breiman and others, "Classification and regression trees", 1984.
    """
    ties = [each.model for each in scores if is_tie(scores[0].metrics, each.metrics)]
    return min(ties, key=list(simplest_first).index), ties


def tune(
    build: Callable[[dict[str, Any]], Pipeline],
    space: Mapping[str, Any],
    candidates: int,
    features: NDArray[np.float32],
    target: NDArray[Any],
    folds: Sequence[Split],
    classes: int,
    metric: str,
    seed: int,
) -> Tuned:
    """Try settings drawn from the space, in rounds: all on few rows, the better ones on more.

    Successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification", 2016).
    The settings as they are, `{}`, go through every round. The work is done by the backend of
    joblib that is set, by default all processors, and comes to the same by each of them.
    """
    drawn = ParameterSampler(space, candidates, random_state=seed)
    running = [
        {},
        *({name: plain(value) for name, value in each.items()} for each in drawn),
    ]
    rounds = count_rounds(candidates, min(len(fold.train) for fold in folds))
    for number in range(1, rounds + 1):
        share = KEPT ** (number - rounds)
        parts = [draw_part(fold, target, share, classes, seed) for fold in folds]
        tasks = [
            delayed(score_folds)(
                build(settings), features, target, [part], classes, metric
            )
            for settings in running
            for part in parts
        ]
        done = Parallel(n_jobs=-1, return_as="generator")(tasks)
        bar = tqdm(
            done, f"round {number} of {rounds}", len(tasks), unit=" fits", disable=None
        )
        merits = np.array([found["merit"].iloc[0] for found in bar]).reshape(
            len(running), -1
        )
        order = np.argsort(-np.nanmean(merits, axis=1), kind="stable")
        metrics = [[merit(value, metric) for value in row] for row in merits.tolist()]
        best, before = metrics[order[0]], metrics[0]
        told = f"{metric} {np.nanmean(best):.4g}, with those there are {np.nanmean(before):.4g}"
        log.info(
            "round %d of %d, %d settings: the best %s",
            number,
            rounds,
            len(running),
            told,
        )
        tuned = Tuned(running[order[0]], best, before)
        running = [
            {},
            *(running[place] for place in order[: len(running) // KEPT] if place),
        ]
    return tuned


def count_rounds(candidates: int, rows: int) -> int:
    """Return in how many rounds to search: fewer with few rows or few candidates."""
    rounds = 1
    while KEPT**rounds <= min(candidates, rows / FEWEST_ROWS):
        rounds += 1
    return rounds


def draw_part(
    fold: Split, target: NDArray[Any], share: float, classes: int, seed: int
) -> Split:
    """Return a fold with only a share of its training rows, of each class as large."""
    if share == 1:
        return fold
    size = int(share * len(fold.train))
    groups = target[fold.train] if classes else None
    rows = resample(
        fold.train, replace=False, n_samples=size, random_state=seed, stratify=groups
    )
    return Split(repeat_alone(rows, target) if classes else rows, fold.test)


def plain(value: Any) -> Any:
    """Return a number of NumPy as one that can be written into config.yaml, in three digits."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.3g}") if isinstance(value, float) else value
