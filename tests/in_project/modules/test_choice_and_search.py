"""How models are compared and tuned, and what is noted, on tables whose truth is known."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from customer_churn.config import TrainingConfig
from customer_churn.evaluation import (
    METRICS,
    list_metrics,
)
from customer_churn.model_training import MODELS, make_dataset
from customer_churn.schema import Column, Table
from customer_churn.training import comparison, train
from customer_churn.training.comparison import Score, choose_model, is_tie
from customer_churn.training.intervals import (
    estimate_interval,
)
from customer_churn.utils import UserError
from sklearn.ensemble import ExtraTreesClassifier
from test_training import read_record, run_train

FEW = {"random_forest": {"n_estimators": 5}, "gradient_boosting": {"max_iter": 10}}
CONFIG = TrainingConfig(model="gradient_boosting", settings=FEW)


def make_table(task, rows=600, share=0.5, signal=1.0):
    """Make a dataset whose target depends on one of three features.

    `share` is that of the rarer class, `signal` is the weight of the feature.
    """
    random = np.random.default_rng(0)
    matters, noise = random.normal(size=(2, rows)).round(2)
    score = signal * matters + 0.3 * random.normal(size=rows)
    won = score > np.quantile(score, 1 - share)
    y = np.where(won, "won", "lost") if task == "classification" else score
    frame = pd.DataFrame({"matters": matters, "noise": noise, "outcome": y})
    frame["colour"] = random.choice(["red", "green", "blue"], rows)
    kind = "category" if task == "classification" else "number"
    features = (Column("matters", "number"), Column("noise", "number"))
    features = (*features, Column("colour", "category"))
    target = Column("outcome", kind)
    return make_dataset(frame, Table((*features, target), features, target, task), CONFIG)


def test_a_difference_counts_by_how_much_it_varies_over_the_folds():
    assert is_tie([0.9, 0.8, 0.7], [0.8, 0.9, 0.6])
    assert not is_tie([0.9, 0.8, 0.7], [0.89, 0.79, 0.69])  # small, but always there
    assert not is_tie([5.0, 6, 7], [1, 2, 3.5])
    assert is_tie([0.9, 0.8], [0.9, 0.8])


def test_a_clear_lead_wins_and_among_ties_the_simplest():
    def score(model, *values):
        return Score(model, list(values), 0.1, 0.1)

    best, near = score("c", 0.90, 0.92, 0.91), score("b", 0.91, 0.90, 0.91)
    simple, worse = score("a", 0.90, 0.93, 0.89), score("0", 0.85, 0.87, 0.86)
    order = ["0", "a", "b", "c"]
    assert choose_model([best, worse], order) == ("c", ["c"])
    chosen, ties = choose_model([best, near, simple, worse], order)
    assert (chosen, sorted(ties)) == ("a", ["a", "b", "c"])
    assert (best.mean, best.standard_deviation) == (pytest.approx(0.91), pytest.approx(0.01))


@pytest.mark.parametrize("task", MODELS)
def test_all_models_are_compared_and_logged(task, caplog):
    metrics = list_metrics(None, task, 2)
    with caplog.at_level("INFO"):
        choice, record = comparison.choose(make_table(task), metrics, CONFIG)
    names = list(MODELS[task])
    assert choice == names[0]  # the straight line that the data was made by
    assert sorted(each["model"] for each in record) == sorted(names)
    number = r"[\d.e-]+"
    for name in names:
        assert re.search(rf"{name}: \w+ {number} ± {number}, {number} s to fit", caplog.text)
    assert f"chosen: {choice}" in caplog.text


@pytest.mark.parametrize("task", MODELS)
def test_tuned_settings_are_never_worse_and_the_same_twice(task):
    dataset, metrics = make_table(task), list_metrics(None, task, 2)
    sign = next(iter(metrics.values())).sign
    model = next(iter(MODELS[task]))
    found = [comparison.tune(dataset, model, metrics, CONFIG, 3) for _ in range(2)]
    assert found[0] == found[1]
    config, record = found[0]
    assert sign * record["score"] >= sign * record["untuned"]
    assert json.loads(json.dumps(config.settings)) == config.settings


def test_settings_stay_where_all_others_are_worse(monkeypatch):
    space = {"min_samples_leaf": [400, 500]}
    monkeypatch.setitem(comparison.SEARCH_SPACES, "random_forest", space)
    metrics = list_metrics(None, "classification", 2)
    dataset = make_table("classification")
    config, record = comparison.tune(dataset, "random_forest", metrics, CONFIG, 2)
    assert config.settings["random_forest"] == {"n_estimators": 5}
    assert record["score"] == record["untuned"]


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_a_new_model_is_one_entry(trained_config, tmp_path, monkeypatch, caplog):
    forest, _ = MODELS["classification"]["random_forest"]
    trees = forest, ExtraTreesClassifier(n_estimators=10, max_depth=1)
    monkeypatch.setitem(MODELS["classification"], "extra_trees", trees)
    monkeypatch.setitem(comparison.SEARCH_SPACES, "extra_trees", {"max_depth": [6, 7, 8]})
    output = tmp_path / "trees.onnx"
    words = ["--model", "extra_trees", "--tune", "2", "--output", str(output)]
    with caplog.at_level("INFO"):
        run_train(monkeypatch, trained_config, *words)
    record = read_record(output)
    assert record["model"] == "extra_trees"
    shown = re.search(r"training.settings.extra_trees: (.*)", caplog.text)
    assert json.loads(shown[1]) == record["settings"]
    assert record["tuning"]["score"] > record["tuning"]["untuned"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("6", 6), ("0.5", 0.5), ("true", True), ("null", None), ("log2", "log2"), ("[1, 2]", [1, 2])],
)
def test_a_setting_is_read_as_in_config_yaml(text, value):
    assert train.read_setting(f"name={text}") == ("name", value)


def test_the_interval_shrinks_with_the_rows_and_is_the_same_for_a_seed():
    widths = []
    for rows in (500, 2000, 8000):
        random = np.random.default_rng(0)
        p = random.random(rows)
        y = (random.random(rows) < p).astype(int)
        outputs, metric = np.column_stack([1 - p, p]), METRICS["classification"]["roc_auc"]
        found = estimate_interval(outputs, y, metric, 1)
        assert found == estimate_interval(outputs, y, metric, 1)
        assert found != estimate_interval(outputs, y, metric, 2)
        widths.append(found[1] - found[0])
    assert np.divide(widths[:-1], widths[1:]) == pytest.approx(2, rel=0.3)


def test_few_rows_rare_classes_and_no_better_than_the_baseline_are_noted():
    dataset = make_table("classification", rows=300, share=0.05, signal=0)
    metrics = list_metrics(None, "classification", 2)
    notes = train.train_model(dataset, "random_forest", metrics, CONFIG).about["notes"]
    for start in ("Only 5.00% of the rows are won", "The test set has only", "By roc_auc the"):
        assert [note.startswith(start) for note in notes].count(True) == 1, notes


def test_a_column_that_float32_blurs_is_noted():
    dataset = make_table("classification")
    rows = dataset.rows.assign(noise=1.7e9 + np.arange(len(dataset.rows)) / 4)
    dataset = make_dataset(rows, dataset.table, CONFIG)
    metrics = list_metrics(None, "classification", 2)
    notes = train.train_model(dataset, "logistic", metrics, CONFIG).about["notes"]
    assert [note for note in notes if "'noise'" in note]


def test_a_threshold_is_refused_for_three_classes_and_for_numbers():
    config = CONFIG.model_copy(update={"threshold": {"value": 0.3}})
    with pytest.raises(UserError, match="is for two classes, and the target is a number"):
        train.check_threshold(make_table("regression"), config)
