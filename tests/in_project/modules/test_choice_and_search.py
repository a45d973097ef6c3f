"""How models are compared and tuned, and what is noted, on tables whose truth is known."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from customer_churn.config import Threshold, TrainingConfig
from customer_churn.evaluation import METRICS, evaluate, list_metrics
from customer_churn.model_training import MODELS, make_dataset
from customer_churn.schema import Column, Table
from customer_churn.training import selection, train
from customer_churn.training.description import estimate_interval, evaluate_segments, rank_features
from customer_churn.training.promotion import Trained, estimate_improvement
from customer_churn.training.selection import find_threshold, is_tie
from customer_churn.utils import UserError
from sklearn import metrics
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


def headline(task):
    """Return the metric that counts most."""
    return next(iter(list_metrics(None, task, 2).values()))


def test_a_difference_counts_by_how_much_it_varies_over_the_folds():
    def tie(scores, others):
        return is_tie(pd.Series(scores), pd.Series(others))

    assert tie([0.9, 0.8, 0.7], [0.8, 0.9, 0.6])
    assert not tie([0.9, 0.8, 0.7], [0.89, 0.79, 0.69])  # small, but always there
    assert not tie([5.0, 6, 7], [1, 2, 3.5])
    assert tie([0.9, 0.8], [0.9, 0.8])


@pytest.mark.parametrize(("names", "choice", "ties"), [("0c", "c", 0), ("0abc", "a", 2)])
def test_a_clear_lead_wins_and_among_ties_the_simplest(names, choice, ties, monkeypatch):
    scores = {
        "0": [0.85, 0.87, 0.86],
        "a": [0.90, 0.93, 0.89],
        "b": [0.91, 0.90, 0.91],
        "c": [0.90, 0.92, 0.91],
    }

    def cross_validate(dataset, model, *_):
        splits = {f"split{number}_test_score": score for number, score in enumerate(scores[model])}
        return pd.DataFrame([{**splits, "mean_fit_time": 1.0, "mean_score_time": 1.0}])

    monkeypatch.setattr(selection, "_cross_validate", cross_validate)
    monkeypatch.setattr(selection, "MODELS", {"classification": names})
    dataset, metric = make_table("classification"), headline("classification")
    found, record = selection.compare_models(dataset, metric, CONFIG)
    assert found == choice
    assert [each["note"] for each in record].count("tied with the best") == ties


@pytest.mark.parametrize("task", MODELS)
def test_all_models_are_compared_and_logged(task, caplog):
    with caplog.at_level("INFO"):
        choice, record = selection.compare_models(make_table(task), headline(task), CONFIG)
    names = list(MODELS[task])
    assert choice == names[0]  # the straight line that the data was made by
    assert sorted(each["model"] for each in record) == sorted(names)
    number = r"[\d.e-]+"
    for name in names:
        assert re.search(rf"{name}: {number} ± {number}, {number} s to fit", caplog.text)
    assert re.search(f"{choice}: .*; chosen", caplog.text)


@pytest.mark.parametrize("task", MODELS)
def test_tuned_settings_are_never_worse_and_the_same_twice(task):
    dataset, metric = make_table(task), headline(task)
    model = next(iter(MODELS[task]))
    found = [selection.tune(dataset, model, metric, CONFIG, 3) for _ in range(2)]
    assert found[0] == found[1]
    config, record = found[0]
    assert metric.sign * record["score"] >= metric.sign * record["untuned"]
    assert json.loads(json.dumps(config.settings)) == config.settings


def test_settings_stay_where_all_others_are_worse(monkeypatch):
    space = {"min_samples_leaf": [400, 500]}
    monkeypatch.setitem(selection.SEARCH_SPACES, "random_forest", space)
    dataset, metric = make_table("classification"), headline("classification")
    config, record = selection.tune(dataset, "random_forest", metric, CONFIG, 2)
    assert config.settings["random_forest"] == {"n_estimators": 5}
    assert record["score"] == record["untuned"]


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_a_new_model_is_one_entry(trained_config, tmp_path, monkeypatch, caplog):
    forest, _ = MODELS["classification"]["random_forest"]
    trees = forest, ExtraTreesClassifier(n_estimators=10, max_depth=1)
    monkeypatch.setitem(MODELS["classification"], "extra_trees", trees)
    monkeypatch.setitem(selection.SEARCH_SPACES, "extra_trees", {"max_depth": [6, 7, 8]})
    output = tmp_path / "trees.onnx"
    words = f"--model extra_trees --tune 2 --output {output}"
    with caplog.at_level("INFO"):
        run_train(monkeypatch, trained_config, words)
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


def draw_classes(rows, seed=0):
    """Draw probabilities of two classes, and classes that follow them."""
    random = np.random.default_rng(seed)
    p = random.random(rows)
    return (random.random(rows) < p).astype(int), np.column_stack([1 - p, p])


def score_of(y, outputs, metric=METRICS["classification"]["accuracy"]):
    """Return the function that scores some rows."""
    return lambda rows: evaluate(outputs[rows], y[rows], {"": metric})[""]


def test_the_interval_shrinks_with_the_rows_and_is_the_same_twice():
    widths = []
    for rows in (500, 2000, 8000):
        score = score_of(*draw_classes(rows), METRICS["classification"]["roc_auc"])
        low, high = estimate_interval(score, np.arange(rows))
        assert (low, high) == estimate_interval(score, np.arange(rows))
        widths.append(high - low)
    assert np.divide(widths[:-1], widths[1:]) == pytest.approx(2, rel=0.3)


def test_the_interval_contains_the_true_value_as_often_as_it_should():
    hits = []
    for seed in range(40):
        low, high = estimate_interval(score_of(*draw_classes(400, seed)), np.arange(400))
        hits.append(low <= 0.75 <= high)
    assert np.mean(hits) >= 0.85
    assert np.isnan(estimate_interval(score_of(*draw_classes(5)), np.arange(5))).all()


def test_an_improvement_is_measured_on_the_same_rows():
    dataset = make_table("regression", rows=8000)
    y = dataset.y_test
    good = y + np.random.default_rng(0).normal(size=len(y))
    about = {"threshold": None}
    trained = Trained(b"", about, good, METRICS["regression"]["rmse"], dataset)
    low, high = estimate_improvement(trained, y + 1.02 * (good - y), None)
    assert 0 < low < high  # clear, although each interval is wider than the difference
    assert estimate_improvement(trained, good, None) == (0, 0)


def test_the_worst_segment_is_first_and_small_ones_are_left_out():
    y, outputs = draw_classes(1000)
    bad = np.arange(1000) % 4 == 0
    outputs[bad] = outputs[bad][:, ::-1]
    segments = pd.DataFrame({"quarter": np.where(bad, "bad", "fine")})
    segments["small"] = ["few"] * 25 + [None] * 975
    segments["many"] = np.arange(1000) % 30
    found = evaluate_segments(segments, score_of(y, outputs), 1)
    assert [(each["column"], each["value"]) for each in found] == [
        *(("quarter", "bad"), ("small", "missing"), ("quarter", "fine")),
    ]
    worst = found[0]
    assert worst["rows"] == 250
    assert worst["score"] == pytest.approx(np.mean(outputs[bad].argmax(axis=1) == y[bad]))
    assert worst["interval"][0] < worst["score"] < worst["interval"][1] < 0.6


def test_the_feature_that_matters_is_ranked_first():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 3)), columns=[*"abc"])
    y = X["b"].to_numpy()
    ranked = rank_features(lambda X: -np.mean((X["b"] - y) ** 2), X)
    assert ranked[0]["feature"] == "b"
    assert ranked[0]["importance"] > 1
    assert [each["importance"] for each in ranked[1:]] == [0, 0]


@pytest.mark.parametrize(
    "rule",
    [{"recall": 0.9}, {"precision": 0.9}, {"cost": {"false_positive": 1, "false_negative": 5}}],
)
def test_a_threshold_fits_its_rule(rule):
    y, outputs = draw_classes(2000)
    p = outputs[:, 1].round(3)
    chosen = find_threshold(y, p, Threshold.model_validate(rule))

    def measure(threshold):
        flagged = p >= threshold
        cost = (flagged & (y == 0)).sum() + 5 * (~flagged & (y == 1)).sum()
        return flagged[y == 1].mean(), y[flagged].mean(), cost

    recall, precision, cost = measure(chosen)
    if "recall" in rule:
        assert recall >= 0.9 > measure(chosen + 0.001)[0]
    elif "precision" in rule:
        lower = [measure(each)[1] for each in np.unique(p[p < chosen - 1e-9])]
        assert precision >= 0.9 > max(lower)
    else:
        assert cost == min(measure(each)[2] for each in np.unique(p))
        assert chosen == pytest.approx(1 / 6, abs=0.1)


def test_it_may_be_cheapest_to_predict_no_positives():
    rule = Threshold.model_validate({"cost": {"false_positive": 10, "false_negative": 1}})
    assert find_threshold(np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.1]), rule) == 1


def test_few_rows_rare_classes_and_no_better_than_the_baseline_are_noted():
    dataset = make_table("classification", rows=300, share=0.05, signal=0)
    metrics = list_metrics("log_loss", "classification", 2)
    notes = train.train_model(dataset, "random_forest", metrics, CONFIG).about["notes"]
    for start in ("Only 5.00% of the rows are won", "The test set has only", "By log_loss the"):
        assert [note.startswith(start) for note in notes].count(True) == 1, notes


def test_a_column_that_float32_blurs_is_noted():
    dataset = make_table("classification")
    rows = dataset.rows.assign(noise=1.7e9 + np.arange(len(dataset.rows)) / 4)
    dataset = make_dataset(rows, dataset.table, CONFIG)
    metrics = list_metrics(None, "classification", 2)
    notes = train.train_model(dataset, "logistic", metrics, CONFIG).about["notes"]
    assert [note for note in notes if "'noise'" in note]


def test_a_threshold_is_refused_for_three_classes_and_for_numbers():
    dataset = make_table("regression")
    config = CONFIG.model_copy(update={"threshold": {"value": 0.3}})
    with pytest.raises(UserError, match="threshold needs a target of two classes"):
        make_dataset(dataset.rows, dataset.table, config)


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    y, outputs = np.random.default_rng(0).normal(5, 2, (2, 300))
    assert evaluate(outputs, y, METRICS["regression"]) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(y, outputs),
            "mae": metrics.mean_absolute_error(y, outputs),
            "r2": metrics.r2_score(y, outputs),
        }
    )
