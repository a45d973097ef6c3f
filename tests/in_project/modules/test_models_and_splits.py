"""Models of one feature, splits of rare classes and few groups, metrics at their limits, leaks."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import train
from customer_churn.config import Task
from customer_churn.evaluation import METRICS, evaluate, format_metrics, merit, predict_outputs
from customer_churn.model_training import MODELS, Order, build_pipeline, round_for_thresholds
from customer_churn.schema import Column, Kind, Table
from customer_churn.utils import UserError
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from test_training import (
    CLASS,
    NUMBER,
    ROWS,
    SETTINGS,
    TASKS,
    draw_answers,
    moments,
    prepare_with,
    random_target,
    settings,
    small_frame,
    small_table,
)
from customer_churn.training.model_saving import convert_to_onnx
from customer_churn.training.preparation import make_folds, read_order, split_rows


@pytest.mark.parametrize("kind", ["number", "date", "category", "boolean"])
def test_a_table_with_one_feature_of_any_kind_even_without_values(kind: Kind) -> None:
    table = Table((Column("x", kind, True),), Column("y", "category"), "classification")
    dtypes = {"number": "float64", "date": "datetime64[ns]", "category": "str"}
    missing = pd.Series([None] * 40, dtype=dtypes.get(kind, "boolean"))
    frame = pd.DataFrame({"x": missing, "y": ["no", "yes"] * 20})
    config = settings(settings={"random_forest": {"n_estimators": 5}})
    for model in MODELS["classification"]:
        trained = train(frame, table, model, config)
        assert trained.metrics["accuracy"] == trained.baseline["accuracy"]
        convert_to_onnx(trained)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nonsense", "^no model 'nonsense' for a regression; there are: linear, "),
        ("logistic", "^no model 'logistic' for a regression; there are: linear, "),
        ("random_forrest", "the nearest is 'random_forest'"),
    ],
)
def test_an_unknown_model_is_refused(model: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(small_frame([0.5] * 20), small_table("number", "regression"), model, SETTINGS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"nonsense": 1}, r"training\.settings\.linear .*nonsense"), ({"alpha": -1}, "alpha")],
)
def test_a_setting_the_model_does_not_know_is_refused(
    changed: dict[str, object], message: str
) -> None:
    config = settings(settings={"linear": changed})
    with pytest.raises(UserError, match=message) as error:
        train(small_frame([0.5] * 20), small_table("number", "regression"), "linear", config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", MODELS["classification"])
def test_onnx_decides_alike_wherever_a_tree_may_split(model: str) -> None:
    x = 1e6 + np.random.default_rng(0).normal(size=2000)  # float32 holds these to 1/16
    frame = pd.DataFrame({"x": x, "y": np.where(x % 1 < 0.5, "Yes", "No")})
    config = settings(settings={"random_forest": {"n_estimators": 20}})
    trained = train(frame, small_table("category", "classification"), model, config)
    _, answer = convert_to_onnx(trained)
    values = np.unique(round_for_thresholds(trained.features))
    middle = ((values[:-1].astype(float) + values[1:]) / 2).astype(np.float32)
    ways = (np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(2e6)))
    features = np.concatenate(ways).reshape(-1, 1)
    expected = trained.pipeline.predict_proba(features)
    np.testing.assert_allclose(answer(features), expected, atol=1e-5)


def test_folds_keep_the_classes_shares() -> None:
    target = np.repeat([0, 1], [80, 20])
    folds = make_folds(target, "classification", SETTINGS)
    assert [np.bincount(target[fold.test]).tolist() for fold in folds] == [[16, 4]] * 5
    assert sorted(row for fold in folds for row in fold.test) == list(range(100))


def test_the_only_row_of_a_class_is_learnt_from_twice() -> None:
    target = np.array([0] * 30 + [1] * 30 + [2])
    for seed in range(10):
        split = split_rows(target, "classification", settings(random_seed=seed))
        assert target[split.train].tolist().count(2) == 2
        assert len(split.train) + len(split.test) == 62


def test_a_rare_class_is_in_folds_as_it_can() -> None:
    target = np.array([0] * 30 + [1] * 30 + [2] * 2)
    for fold in make_folds(target, "classification", SETTINGS):
        assert target[fold.train].tolist().count(2) == 2


def test_folds_with_one_class_to_learn_from_are_left_out() -> None:
    order, target = Order(days=np.arange(60.0)), np.repeat([0, 1, 0], [25, 5, 30])
    folds = make_folds(target, "classification", SETTINGS, order)
    assert [len(fold.train) for fold in folds] == [30, 40, 50]
    with pytest.raises(UserError, match="no fold has two classes"):
        make_folds(np.repeat([0, 1], [59, 1]), "classification", SETTINGS, order)


@pytest.mark.parametrize("task", TASKS)
def test_folds_by_time_never_look_into_the_future(task: Task) -> None:
    frame = pd.DataFrame({"when": moments()})
    config = settings(date="when")
    folds = make_folds(random_target(task, 400), task, config, read_order(frame, config))
    assert len(folds) == 5
    days = frame["when"].dt.floor("D")
    for fold in folds:
        assert days.iloc[fold.train].max() < days.iloc[fold.test].min()
    for before, after in pairwise(folds):
        assert set(after.train) == {*before.train, *before.test}


def test_a_class_of_one_group_alone_takes_that_group_along() -> None:
    groups = np.repeat(np.arange(10), 10)
    for lonely in range(10):  # one of them is held out
        target = np.arange(100) % 2
        target[10 * lonely : 10 * lonely + 3] = 2
        order = Order(groups=groups)
        split = split_rows(target, "classification", settings(group="who"), order)
        assert np.isin(2, target[split.train])
        assert set(groups[split.train]).isdisjoint(groups[split.test])


def test_a_test_of_new_classes_alone_is_refused() -> None:
    target = np.repeat([0, 1, 2, 3, 4], 20)
    for order, told in (
        (Order(days=target.astype(float)), "the newest rows"),
        (Order(groups=target), "the groups held out"),
    ):
        with pytest.raises(UserError, match=f"no row is left to test the model: {told} have"):
            split_rows(target, "classification", SETTINGS, order)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"date": "when", "group": "who"}, "name a date or a group, not both"),
        ({"date": "wen"}, "names 'wen', which schema.yaml does not"),
        ({"date": "who"}, "'who' is no column of dates"),
        ({"date": "once"}, "too many rows have the same training.date"),
        ({"group": "one"}, "all rows have the same training.group"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(named: dict[str, str], message: str) -> None:
    frame = pd.DataFrame({"when": moments(), "who": "a", "one": "b"})
    frame["once"] = pd.Timestamp("2020-01-01")
    with pytest.raises(UserError, match=message) as error:
        split_rows(np.arange(400.0), "regression", SETTINGS, read_order(frame, settings(**named)))
    assert "\n" not in str(error.value)


def test_one_group_to_learn_from_makes_no_folds() -> None:
    order = Order(groups=np.zeros(50, int))
    for task in TASKS:
        with pytest.raises(UserError, match=r"all rows have the same training\.group"):
            make_folds(random_target(task, 50), task, settings(group="who"), order)


def test_a_class_that_no_row_has_is_left_out() -> None:
    target, outputs = draw_answers(4)
    target = np.where(target == 2, 3, target)
    found, likeliest, there = evaluate(target, outputs), outputs.argmax(axis=1), [0, 1, 3]
    areas = [metrics.roc_auc_score(target == code, outputs[:, code]) for code in there]
    recall = metrics.recall_score(target, likeliest, labels=there, average="macro")
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    assert found["balanced_accuracy"] == pytest.approx(recall)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(target, outputs, labels=range(4)))
    assert np.isnan(evaluate(np.zeros(9, int), outputs[:9])["roc_auc"])


def test_a_probability_of_zero_does_not_make_the_log_loss_infinite() -> None:
    assert evaluate(np.array([0, 1]), np.array([[1.0, 0], [1, 0]]))["log_loss"] == pytest.approx(
        -np.log(1e-15) / 2
    )


def test_a_class_the_model_has_not_seen_is_never_likely() -> None:
    features = np.arange(6.0).reshape(-1, 1)
    model = LogisticRegression().fit(features, [0, 0, 0, 2, 2, 2])
    outputs = predict_outputs(model, features, 4)
    assert outputs[:, [1, 3]].max() == 0
    assert outputs[:, [0, 2]].tolist() == model.predict_proba(features).tolist()


@pytest.mark.parametrize("task", TASKS)
def test_a_model_answers_the_same_each_time(task: Task) -> None:
    x, target = np.random.default_rng(0).normal(size=(2000, 1)), random_target(task, 2000)
    classes = 3 if task == "classification" else 0
    for name in MODELS[task]:
        model = build_pipeline(name, task, 1, 0, SETTINGS).fit(x, target)
        found = {predict_outputs(model, x, classes).tobytes() for _ in range(9)}
        assert len(found) == 1, name


@pytest.mark.parametrize("task", TASKS)
def test_of_every_metric_better_has_more_merit(task: Task) -> None:
    target = np.array([0, 1, 1, 0])
    good = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.7, 0.3]])
    good, bad = (good, good[::-1, ::-1]) if task == "classification" else (target, 1 - target)
    better, worse = evaluate(target, good), evaluate(target, bad)
    assert better.keys() == METRICS[task].keys()
    for name, value in better.items():
        assert merit(value, name) > merit(worse[name], name), name
        assert merit(merit(value, name), name) == value


def test_format_metrics_is_one_line() -> None:
    assert format_metrics({"accuracy": 0.83114, "rmse": 123.456}) == "accuracy 0.8311, rmse 123.5"


WON = pd.Series(CLASS == "won")


@pytest.mark.parametrize(
    ("values", "kind", "target"),
    [
        (pd.Series(CLASS), "category", CLASS),
        (pd.Series(CLASS).map({"lost": "L", "open": "O", "won": "W"}), "category", CLASS),
        (pd.Series(CLASS).map({"lost": 3.0, "open": 1, "won": 2}), "number", CLASS),
        (pd.Series(pd.factorize(CLASS)[0]).astype("Int64"), "integer", CLASS),
        (WON.astype("boolean"), "boolean", np.where(WON, "yes", "no")),
        ((~WON).astype("boolean"), "boolean", np.where(WON, "yes", "no")),
        (pd.Series(["closed"] * ROWS).where(WON), "category", np.where(WON, "yes", "no")),
        (pd.Series(CLASS) + pd.Series(["", "?"] * (ROWS // 2)), "category", CLASS),
        (NUMBER * 1.8 + 32, "number", NUMBER),
        (-NUMBER, "number", NUMBER),
        (pd.Series(NUMBER).rank(), "number", NUMBER),
        (pd.Series(NUMBER).rank(method="dense").astype("Int64"), "integer", NUMBER),
        (pd.Series(NUMBER).mask(WON), "number", NUMBER),
    ],
    ids=[
        *("the same", "recoded", "numbers", "the class's number", "yes or no", "reversed"),
        *("only filled if", "spelled in two ways", "another unit", "negative", "ranks"),
        *("whole ranks", "with gaps"),
    ],
)
def test_what_tells_the_target_by_itself_is_refused(
    values: object, kind: Kind, target: NDArray[Any]
) -> None:
    message = "^the feature 'suspect' tells the target by itself: .*; add it to `exclude`"
    with pytest.raises(UserError, match=message) as error:
        prepare_with(values, kind, target)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", [CLASS, NUMBER], ids=["classes", "numbers"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"k{n * 7919 % ROWS}" for n in range(ROWS)], "category"),
        (pd.Series(np.arange(ROWS), dtype="Int64"), "integer"),
        (pd.Series(np.random.default_rng(0).permutation(ROWS) + 1000, dtype="Int64"), "integer"),
    ],
    ids=["text", "running number", "shuffled number"],
)
def test_a_key_is_refused(values: object, kind: Kind, target: NDArray[Any]) -> None:
    with pytest.raises(UserError, match=r"^the feature 'suspect' has another value in each row"):
        prepare_with(values, kind, target)


@pytest.mark.parametrize("target", [CLASS, NUMBER], ids=["classes", "numbers"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series(CLASS).mask(np.arange(ROWS) % 20 == 0, "won"), "category"),
        (np.where(WON, 10.0, 0) + np.random.default_rng(2).random(ROWS), "number"),
        (NUMBER + np.random.default_rng(2).normal(0, 0.3, ROWS), "number"),
        (np.ones(ROWS), "number"),
        (pd.Series([None] * ROWS, dtype="str"), "category"),
        (pd.Series([1.0, 2.0] + [None] * (ROWS - 2)), "number"),
        (pd.Series([f"k{n}" for n in range(ROWS)]).mask(np.arange(ROWS) < 3), "category"),
        (pd.Series(np.arange(ROWS) * 3, dtype="Int64"), "integer"),
        (pd.Series(pd.date_range("2020-01-01", periods=ROWS)), "date"),
    ],
    ids=[
        *("nearly the target", "strong for a class", "strong for a number", "constant"),
        *("without a value", "sparse", "text with gaps", "number with gaps", "dates"),
    ],
)
def test_what_is_no_leak_is_not_refused(values: object, kind: Kind, target: NDArray[Any]) -> None:
    assert prepare_with(values, kind, target).features.shape[0] == ROWS


def test_of_few_rows_nothing_is_certain() -> None:
    assert len(prepare_with(CLASS, "category", CLASS, rows=49).frame) == 49
