"""Compare models on the same folds, and search for better settings."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn import model_selection
from sklearn.pipeline import Pipeline
from sklearn.utils import resample
from tqdm import tqdm

from {{ cookiecutter.project_slug }}.evaluation import evaluate, merit, predict_outputs
from {{ cookiecutter.project_slug }}.splitting import Rows, Split

KEPT = 3  # of the settings in a search one in so many goes on, with as many times more rows
FEWEST_ROWS = 2_000  # to learn from in the first round of a search

log = logging.getLogger("train")


class Score(NamedTuple):
    """How good a model was on the folds: the mean of the metric, its spread (the standard
    deviation) and the mean seconds to fit and to predict a fold.
    """

    model: str
    mean: float
    spread: float
    fit_seconds: float
    predict_seconds: float


class Tuned(NamedTuple):
    """The best settings that a search has found, and how good they were on the folds."""

    settings: dict[str, Any]
    candidates: int
    mean: float
    spread: float
    before: float  # with the settings of config.yaml


def score_folds(
    pipeline: Pipeline,
    features: NDArray[np.float32],
    target: NDArray[Any],
    folds: Sequence[Split],
    classes: int,
    metric: str,
) -> pd.DataFrame:
    """Fit and evaluate a model on folds.

    Returns a row a fold: `merit` (the metric, the more, the better), `fit_time` and `score_time`
    in seconds.
    """

    def score(model: Pipeline, rows: NDArray[np.float32], actual: NDArray[Any]) -> float:
        return merit(evaluate(actual, predict_outputs(model, rows, classes))[metric], metric)

    how = {"cv": folds, "scoring": score, "error_score": "raise"}
    found = model_selection.cross_validate(pipeline, features, target, **how)
    return pd.DataFrame(found).rename(columns={"test_score": "merit"})


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
        mean, spread = merit(found["merit"].mean(), metric), found["merit"].std()
        seconds = found[["fit_time", "score_time"]].mean().tolist()
        scores.append(Score(name, float(mean), float(spread), *seconds))
    return sorted(scores, key=lambda score: -merit(score.mean, metric))


def choose_model(scores: Sequence[Score], simplest_first: Sequence[str]) -> tuple[str, list[str]]:
    """Return the model to take, and all that are as good as the best.

    A lead that is no larger than the best one's spread over the folds is a tie: other rows could
    turn it round. The simplest of a tie wins (after Breiman and others, "Classification and
    regression trees", 1984, who take the standard error).
    """
    best = scores[0]
    ties = [each.model for each in scores if abs(best.mean - each.mean) <= best.spread]
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
    drawn = model_selection.ParameterSampler(space, candidates, random_state=seed)
    running = [{}, *({name: plain(value) for name, value in each.items()} for each in drawn)]
    rounds = count_rounds(candidates, min(len(fold.train) for fold in folds))
    for number in range(1, rounds + 1):
        share = KEPT ** (number - rounds)
        parts = [draw_part(fold, target, share, classes, seed) for fold in folds]
        tasks = [
            delayed(score_folds)(build(settings), features, target, [part], classes, metric)
            for settings in running
            for part in parts
        ]
        done = Parallel(n_jobs=-1, return_as="generator")(tasks)
        bar = tqdm(done, f"round {number} of {rounds}", len(tasks), unit=" fits", disable=None)
        merits = np.array([found["merit"].iloc[0] for found in bar]).reshape(len(running), -1)
        means, spreads = merits.mean(axis=1), merits.std(axis=1, ddof=1)
        order = np.argsort(-means, kind="stable")
        best, values = order[0], [merit(mean, metric) for mean in means.tolist()]
        told = f"{metric} {values[best]:.4g}, with those there are {values[0]:.4g}"
        log.info("round %d of %d, %d settings: the best %s", number, rounds, len(running), told)
        tuned = Tuned(running[best], candidates, values[best], float(spreads[best]), values[0])
        running = [{}, *(running[place] for place in order[: len(running) // KEPT] if place)]
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
    return Split(rows, fold.test)


def plain(value: Any) -> Any:
    """Return a number of NumPy as one that can be written into config.yaml, in three digits."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.3g}") if isinstance(value, float) else value
