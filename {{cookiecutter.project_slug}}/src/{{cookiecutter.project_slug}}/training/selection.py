"""Choose a model, its settings and its threshold, on folds of the training rows."""

import json
import logging
import sys

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix_at_thresholds
from sklearn.model_selection import GridSearchCV, ParameterSampler

from ..config import Threshold, TrainingConfig
from ..evaluation import Metric, find_scorer, predict_outputs
from ..model_training import (
    MODELS,
    SEARCH_SPACES,
    Dataset,
    build_pipeline,
    explain_errors,
    folds_of,
)
from ..prediction import STEPS
from ..utils import UserError

log = logging.getLogger("train")


def compare_models(dataset: Dataset, metric: Metric, config: TrainingConfig) -> tuple:
    """Cross-validate every model on the same folds.

    Returns the simplest of the models that tie with the best, which is the rule of
    Breiman and others, "Classification and regression trees", 1984, and a record of the
    comparison, the best model first.
    """
    results = pd.DataFrame(
        {
            model: _cross_validate(dataset, model, [{}], metric, config).iloc[0]
            for model in MODELS[dataset.table.task]
        }
    )
    scores = results.filter(like="split", axis="index")
    best = scores.mean().idxmax()
    ties = [model for model in scores if is_tie(scores[best], scores[model])]
    choice = ties[0]
    comparison = pd.DataFrame(
        {
            "model": scores.columns,
            "mean": metric.sign * scores.mean(),
            "standard_deviation": scores.std(),
            "fit_seconds": results.loc["mean_fit_time"],
            "score_seconds": results.loc["mean_score_time"],
            "note": "worse",
        }
    )
    comparison.loc[ties, "note"] = "tied with the best"
    comparison.loc[choice, "note"] = "chosen"
    comparison = comparison.sort_values("mean", ascending=metric.sign < 0)
    record = comparison.to_dict("records")

    for entry in record:
        text = "%s: %.4g ± %.2g, %.2f s to fit, %.2f s to score; %s"
        log.info(text, *entry.values())

    return choice, record


def _cross_validate(
    dataset: Dataset,
    model: str,
    settings: list,
    metric: Metric,
    config: TrainingConfig,
    jobs: int = 1,
) -> pd.DataFrame:
    """Fit and score a model with each of some settings, on folds of the training rows.

    Returns a row for each: `split0_test_score` and so on (higher is better), and in
    seconds `mean_fit_time` and `mean_score_time`.
    """
    with explain_errors(model):
        search = GridSearchCV(
            build_pipeline(model, dataset.table.task, dataset.X_train, config),
            [{f"model__{name}": [each[name]] for name in each} for each in settings],
            scoring=find_scorer(metric, len(dataset.labels)),
            cv=folds_of(dataset, config),
            refit=False,
            n_jobs=jobs,
            error_score="raise",
            verbose=int(len(settings) > 1 and sys.stderr.isatty()),
        )
        search.fit(dataset.X_train, dataset.y_train)

    return pd.DataFrame(search.cv_results_).filter(regex="split|mean_.*_time")


def is_tie(scores: pd.Series, others: pd.Series) -> bool:
    """Whether the mean difference over the folds is within one standard deviation."""
    differences = scores - others
    return not abs(differences.mean()) > differences.std()


def tune(
    dataset: Dataset, model: str, metric: Metric, config: TrainingConfig, count: int
) -> tuple:
    """Try settings drawn from the model's search space, and those of config.yaml.

    Returns the config with the best of them, and a record of the search.
    """
    settings = _draw_settings(model, count, config.random_seed)
    results = _cross_validate(dataset, model, settings, metric, config, jobs=-1)
    scores = results.filter(like="split")
    position = scores.mean(axis=1).argmax()
    untuned, best = scores.iloc[0], scores.iloc[position]
    record = {
        "candidates": count,
        "folds": scores.shape[1],
        "score": metric.sign * best.mean(),
        "untuned": metric.sign * untuned.mean(),
        "tie": is_tie(best, untuned),
    }
    if record["tie"]:
        log.warning("the best settings tie with those in config.yaml")

    text = "best settings: %.4g; those in config.yaml: %.4g"
    log.info(text, record["score"], record["untuned"])

    config = config.with_settings(model, settings[position])
    text = json.dumps(config.settings.get(model))
    log.info("to keep them, set in config.yaml: training.settings.%s: %s", model, text)

    return config, record


def _draw_settings(model: str, count: int, seed: int) -> list:
    """Return no settings, and then those drawn from a model's search space."""
    if model not in SEARCH_SPACES:
        raise UserError(
            f"{model} has no settings to try; add them to SEARCH_SPACES in "
            "model_training.py"
        )

    drawn = list(ParameterSampler(SEARCH_SPACES[model], count, random_state=seed))

    return json.loads(json.dumps([{}, *drawn], default=np.generic.item))


def choose_threshold(
    dataset: Dataset, model: str, config: TrainingConfig
) -> float | None:
    """Return the threshold that config.yaml asks for, or None for the likelier class.

    A rule is applied to predictions for the training rows, each by a model that was
    fitted on the other folds.
    """
    rule = config.threshold
    if rule is None:
        return None
    if rule.value:
        return rule.value

    X = dataset.X_train
    y = dataset.y_train
    pipeline = build_pipeline(model, dataset.table.task, X, config)
    probabilities = np.full(len(y), np.nan)

    for train, test in folds_of(dataset, config):
        pipeline.fit(X.iloc[train], y[train])
        outputs = predict_outputs(pipeline, X.iloc[test], len(dataset.labels))
        probabilities[test] = outputs[:, 1]

    is_known = ~np.isnan(probabilities)  # by time, the oldest rows are in no test fold

    return find_threshold(y[is_known], probabilities[is_known], rule)


def find_threshold(y: np.ndarray, probabilities: np.ndarray, rule: Threshold) -> float:
    """Return the threshold that fits a rule best.

    For a recall it is the highest that reaches it, for a precision the lowest, for
    costs the cheapest. Raises UserError if none reaches the precision.
    """
    _, false_positives, false_negatives, true_positives, thresholds = (
        confusion_matrix_at_thresholds(y, probabilities)
    )
    if rule.cost:
        costs = rule.cost.false_positive * false_positives
        costs += rule.cost.false_negative * false_negatives
        if costs.min() > rule.cost.false_negative * np.sum(y):
            return 1.0  # it is cheapest to predict no positives

        position = np.argmin(costs)
    elif rule.recall:
        recalls = true_positives / np.sum(y)
        position = np.argmax(recalls >= rule.recall)
    else:
        precisions = true_positives / (true_positives + false_positives)
        if precisions.max() < rule.precision:
            raise UserError(
                "config.yaml: training.threshold: no threshold has a precision of "
                f"{rule.precision}; the best has {precisions.max():.3f}"
            )
        position = np.flatnonzero(precisions >= rule.precision)[-1]

    return float(np.floor(thresholds[position] * STEPS) / STEPS)
