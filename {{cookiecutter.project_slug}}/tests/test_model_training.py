"""How models are built, rows split, outputs judged, leaks refused: what training is made of."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import train, train_model
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression

from {{ cookiecutter.project_slug }}.config import Config, Task, TrainingConfig
from {{ cookiecutter.project_slug }}.evaluation import (
    METRICS,
    evaluate,
    find_metric,
    format_metrics,
    guess,
    merit,
    predict_outputs,
)
from {{ cookiecutter.project_slug }}.model_training import (
    MODELS,
    Order,
    Prepared,
    Split,
    encode_target,
    round_for_thresholds,
)
from {{ cookiecutter.project_slug }}.schema import Column, Kind, Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError

from training.model_saving import convert_to_onnx
from training.preparation import make_folds, prepare, read_order, split_rows

SETTINGS = TrainingConfig(model="gradient_boosting")
TASKS: list[Task] = ["classification", "regression"]


def settings(**changes: Any) -> TrainingConfig:
    return SETTINGS.model_copy(update=changes)


def small_frame(target: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(len(target), dtype=float), "y": target})


def small_table(kind: Kind, task: Task) -> Table:
    return Table((Column("x", "number", True),), Column("y", kind), task)


# --- models ---


def test_every_model_beats_the_baseline(trained_config: Config) -> None:
    task = read_table(trained_config).task
    for name in MODELS[task]:
        trained = train_model(trained_config, name)
        better = "accuracy" if task == "classification" else "r2"
        assert trained.metrics[better] > trained.baseline[better] + 0.1, name


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


# --- what models learn from ---


def test_labels_are_the_data_s_own() -> None:
    frame = small_frame([3, 1, 3])
    codes, labels = encode_target(
        frame["y"].astype("Int64"), small_table("integer", "classification")
    )
    assert (codes.tolist(), labels) == ([1, 0, 1], [1, 3])
    assert json.dumps(labels) == "[1, 3]"
    flags = pd.Series([True, False], dtype="boolean")
    codes, labels = encode_target(flags, small_table("boolean", "classification"))
    assert (codes.tolist(), labels) == ([1, 0], [False, True])


def test_rows_without_a_target_are_not_trained_on() -> None:
    frame = small_frame([0.5, None] * 20)
    prepared = prepare(frame, small_table("number", "regression"), SETTINGS)
    split = prepared.split
    assert len(split.train) + len(split.test) == len(prepared.features) == 20


def test_the_vocabulary_has_only_what_the_training_rows_have() -> None:
    table = Table((Column("x", "category"),), Column("y", "number"), "regression")
    frame = pd.DataFrame({"x": [f"town {n}" for n in range(40)], "y": np.arange(40.0)})
    prepared = prepare(frame, table, SETTINGS)
    assert sorted(prepared.vocabulary["x"]) == sorted(frame["x"].iloc[prepared.split.train])
    assert (prepared.features[prepared.split.test] == -1).all()


def test_a_target_with_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"the target 'y' has 1 class\(es\)"):
        table = small_table("category", "classification")
        train(small_frame(["yes"] * 20), table, "logistic", SETTINGS)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UserError, match="9 rows are too few"):
        train(small_frame([0.5] * 9), small_table("number", "regression"), "linear", SETTINGS)


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


# --- splitting ---


def no_overlap(split: Split, rows: int) -> None:
    """Each row is on one side, and there are rows on both."""
    assert sorted([*split.train, *split.test]) == list(range(rows))
    assert len(split.train) > len(split.test) > 0


def random_target(task: Task, rows: int) -> NDArray[Any]:
    draw = np.random.default_rng(1)
    return draw.integers(3, size=rows) if task == "classification" else draw.normal(size=rows)


def test_the_split_keeps_the_classes_shares() -> None:
    target = np.repeat([0, 1], [80, 20])
    split = split_rows(target, "classification", SETTINGS)
    assert np.bincount(target[split.test]).tolist() == [16, 4]
    no_overlap(split, 100)


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


def moments() -> pd.Series:
    """Times of 40 days, 10 rows a day, in no order; every 25th is missing."""
    draw = np.random.default_rng(0)
    hours = draw.permutation(400) // 10 * 24 + draw.integers(24, size=400)
    times = pd.Series(pd.Timestamp("1999-12-20") + pd.to_timedelta(hours, unit="h"))
    return times.mask(times.index % 25 == 0)


@pytest.mark.parametrize("task", TASKS)
def test_the_newest_days_are_the_test_and_stay_whole(task: Task) -> None:
    frame = pd.DataFrame({"when": moments()})
    config = settings(date="when")
    split = split_rows(random_target(task, 400), task, config, read_order(frame, config))
    no_overlap(split, 400)
    day = frame["when"].dt.floor("D")
    assert day.iloc[split.train].max() < day.iloc[split.test].min()
    assert day.iloc[split.test].notna().all()  # a row without a date is learnt from
    assert 60 <= len(split.test) <= 100


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


@pytest.mark.parametrize("task", TASKS)
def test_no_group_is_on_both_sides(task: Task) -> None:
    frame = pd.DataFrame({"who": np.random.default_rng(0).choice([*"abcdefgh", None], 400)})
    config = settings(group="who")
    order, target = read_order(frame, config), random_target(task, 400)
    split = split_rows(target, task, config, order)
    no_overlap(split, 400)
    folds = make_folds(target, task, config, order)
    assert len(folds) == 5
    for each in (split, *folds):
        who = frame["who"].fillna("missing")
        assert set(who.iloc[each.train]).isdisjoint(who.iloc[each.test])


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


# --- evaluation ---


def draw_answers(classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Answers of which many are as likely as others."""
    draw = np.random.default_rng(classes)
    target = draw.integers(classes, size=300)
    scores = draw.integers(1, 4, (300, classes)) + np.eye(classes)[target]
    return target, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_the_metrics_of_classes_are_those_of_scikit_learn(classes: int) -> None:
    target, outputs = draw_answers(classes)
    scores, likeliest = outputs[:, 1] if classes == 2 else outputs, outputs.argmax(axis=1)
    expected = {
        "roc_auc": metrics.roc_auc_score(target, scores, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(target, likeliest),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, likeliest),
        "log_loss": metrics.log_loss(target, outputs),
    }
    assert evaluate(target, outputs) == pytest.approx(expected)


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


def test_the_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    target, predicted = np.random.default_rng(0).normal(5, 2, (2, 300))
    expected = {
        "rmse": metrics.root_mean_squared_error(target, predicted),
        "mae": metrics.mean_absolute_error(target, predicted),
        "r2": metrics.r2_score(target, predicted),
    }
    assert evaluate(target, predicted) == pytest.approx(expected)
    assert np.isnan(evaluate(np.ones(9), predicted[:9])["r2"])


def test_a_probability_of_zero_does_not_make_the_log_loss_infinite() -> None:
    assert evaluate(np.array([0, 1]), np.array([[1.0, 0], [1, 0]]))["log_loss"] == pytest.approx(
        -np.log(1e-15) / 2
    )


def test_the_baseline_is_that_of_scikit_learn() -> None:
    learnt, features = np.array([0, 0, 2, 2, 2, 1]), np.zeros((6, 1))
    shares = DummyClassifier(strategy="prior").fit(features, learnt).predict_proba(features[:4])
    assert guess(learnt, 4, 3).tolist() == shares.tolist()
    mean = DummyRegressor().fit(features, learnt).predict(features[:4])
    assert guess(learnt, 4, 0).tolist() == mean.tolist()


def test_a_class_the_model_has_not_seen_is_never_likely() -> None:
    features = np.arange(6.0).reshape(-1, 1)
    model = LogisticRegression().fit(features, [0, 0, 0, 2, 2, 2])
    outputs = predict_outputs(model, features, 4)
    assert outputs[:, [1, 3]].max() == 0
    assert outputs[:, [0, 2]].tolist() == model.predict_proba(features).tolist()


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


def test_the_metric_that_counts_most_is_found_or_refused() -> None:
    assert find_metric(None, "classification") == "roc_auc"
    assert find_metric("mae", "regression") == "mae"
    with pytest.raises(UserError, match=r"training\.metric: no 'mae' for a classification; one of"):
        find_metric("mae", "classification")


def test_format_metrics_is_one_line() -> None:
    assert format_metrics({"accuracy": 0.83114, "rmse": 123.456}) == "accuracy 0.8311, rmse 123.5"


# --- leaks ---

ROWS = 300
CLASS = np.random.default_rng(0).choice(["lost", "open", "won"], ROWS)
NUMBER = np.random.default_rng(0).normal(20, 5, ROWS).round(1)


def prepare_with(values: object, kind: Kind, target: NDArray[Any], rows: int = ROWS) -> Prepared:
    """Prepare a table of a feature of noise and of one with these values."""
    columns = (Column("noise", "number"), Column("suspect", kind, True))
    noise = np.random.default_rng(1).normal(size=ROWS)
    frame = pd.DataFrame({"noise": noise, "suspect": values, "y": target}).head(rows)
    of_numbers = target.dtype == float
    task: Task = "regression" if of_numbers else "classification"
    table = Table(columns, Column("y", "number" if of_numbers else "category"), task)
    return prepare(frame, table, SETTINGS)


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
