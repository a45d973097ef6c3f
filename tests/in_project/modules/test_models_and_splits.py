"""Models of one feature, splits of rare classes and few groups, metrics at their limits, leaks."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from customer_churn.evaluation import METRICS, evaluate, predict_outputs
from customer_churn.model_training import MODELS, build_pipeline, fit_model, make_dataset
from customer_churn.schema import Column, Table
from customer_churn.splits import make_folds, split_rows
from customer_churn.training.export import export_pipeline
from customer_churn.training.leaks import check_leaks
from customer_churn.utils import UserError
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from test_model_training import SETTINGS, rows_of, settings, small_table

TASKS = ["classification", "regression"]
SHARE = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(400) // 10, unit="D")


def draw_target(task, rows):
    random = np.random.default_rng(1)
    return random.integers(3, size=rows) if task == "classification" else random.normal(size=rows)


@pytest.mark.parametrize("kind", ["number", "date", "category", "boolean"])
def test_a_feature_without_values_is_no_obstacle(kind):
    x, y, z = Column("x", kind, True), Column("y", "category"), Column("z", "number")
    dtypes = {"number": "float64", "date": "datetime64[us]", "category": "str"}
    missing = pd.Series([None] * 40, dtype=dtypes.get(kind, "boolean"))
    frame = pd.DataFrame({"x": missing, "y": ["no", "yes"] * 20, "z": np.arange(40.0)})
    config = settings(settings={"random_forest": {"n_estimators": 5}})
    table = Table((x, y, z), (x, z), y, "classification")
    dataset = make_dataset(frame, table, SETTINGS)
    for model in MODELS["classification"]:
        export_pipeline(fit_model(dataset, model, config), dataset, model)
    alone = make_dataset(frame, Table((x, y), (x,), y, "classification"), SETTINGS)
    if kind == "category":
        export_pipeline(fit_model(alone, "logistic", config), alone, "logistic")
    else:
        with pytest.raises(UserError, match="gradient_boosting can.t be trained"):
            fit_model(alone, "gradient_boosting", config)


@pytest.mark.parametrize("changed", [{"nonsense": 1}, {"alpha": -1}])
def test_a_setting_the_model_does_not_know_is_refused_in_one_line(changed):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0)})
    dataset = make_dataset(frame, small_table("number", "regression"), SETTINGS)
    with pytest.raises(UserError, match=next(iter(changed))) as error:
        fit_model(dataset, "linear", settings(settings={"linear": changed}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["logistic", "random_forest"])
def test_onnx_decides_alike_where_float32_is_coarse(model):
    x = 1e6 + np.random.default_rng(0).normal(size=2000)  # float32 holds these to 1/16
    frame = pd.DataFrame({"x": x, "y": np.where(x % 1 < 0.5, "Yes", "No")})
    dataset = make_dataset(frame, small_table("category", "classification"), SETTINGS)
    export_pipeline(fit_model(dataset, model, SETTINGS), dataset, model)


@pytest.mark.parametrize("model", MODELS["regression"])
@pytest.mark.parametrize("target", ["offset", "skewed"])
def test_a_regression_is_saved_as_it_was_fitted(model, target):
    x, noise = np.random.default_rng(0).normal(size=(2, 1500))
    y = 1.7e9 + 10 * (x + 0.3 * noise) if target == "offset" else np.exp(3 * x + 0.3 * noise)
    frame = pd.DataFrame({"x": x, "y": y})
    dataset = make_dataset(frame, small_table("number", "regression"), SETTINGS)
    _, predict = export_pipeline(fit_model(dataset, model, SETTINGS), dataset, model)
    numbers = dataset.X_test.to_numpy(np.float32)
    outputs = predict(numbers, np.empty((len(numbers), 0), object))
    assert metrics.r2_score(dataset.y_test, outputs) > 0.05
    assert len(np.unique(outputs)) > 20


def test_the_only_row_of_a_class_is_trained_on_twice():
    y = np.array([0] * 30 + [1] * 30 + [2])
    for seed in range(10):
        split = split_rows(rows_of(61), y, settings(random_seed=seed), ["id"])
        assert y[split.train].tolist().count(2) == 2
        assert len(split.train) + len(split.test) == 62


def test_sixty_classes_of_one_to_five_rows_can_be_split():
    y = np.repeat(np.arange(60), np.arange(60) % 5 + 1)
    split = split_rows(rows_of(len(y)), y, SETTINGS, ["id"])
    assert set(y[split.test]) <= set(y[split.train])
    assert len(split.test) > 5


def test_a_rare_class_is_in_folds_as_it_can():
    y = np.array([0] * 30 + [1] * 30 + [2] * 2)
    folds = make_folds(rows_of(62), y, SETTINGS)
    assert len(folds) == 5
    for fold in folds:
        assert y[fold[0]].tolist().count(2) == 2
        assert abs(np.bincount(y[fold[1]])[0] - 6) <= 1


def test_folds_with_one_class_to_train_on_are_left_out():
    rows = rows_of(60, when=SHARE[:60] + pd.to_timedelta(np.arange(60), unit="D"))
    y, config = np.repeat([0, 1, 0], [25, 5, 30]), settings(date="when")
    folds = make_folds(rows, y, config)
    assert [len(fold[0]) for fold in folds] == [30, 40, 50]
    with pytest.raises(UserError, match="no fold has two classes"):
        make_folds(rows, np.repeat([0, 1], [59, 1]), config)


@pytest.mark.parametrize("task", TASKS)
def test_folds_by_time_never_look_into_the_future(task):
    rows = rows_of(400, when=SHARE)
    folds = make_folds(rows, draw_target(task, 400), settings(date="when"))
    assert len(folds) == 5
    for fold in folds:
        assert rows["when"].iloc[fold[0]].max() < rows["when"].iloc[fold[1]].min()
    for before, after in pairwise(folds):
        assert set(after[0]) == {*before[0], *before[1]}


def test_a_class_of_one_group_alone_takes_that_group_along():
    groups = np.repeat(np.arange(10), 10)
    for lonely in range(10):
        y = np.arange(100) % 2
        y[10 * lonely : 10 * lonely + 3] = 2
        rows = rows_of(100, who=groups)
        split = split_rows(rows, y, settings(group="who"), ["id"])
        assert 2 in y[split.train]
        assert set(groups[split.train]).isdisjoint(groups[split.test])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"date": "when", "group": "who"}, "name a date or a group, not both"),
        ({"date": "wen"}, "names 'wen', but schema.yaml does not"),
        ({"date": "who"}, "'who' is not a column of dates"),
        ({"date": "once"}, "too many have the same training.date or group"),
        ({"group": "one"}, "too many have the same training.date or group"),
        ({"date": "classes"}, "the test rows have classes of their own"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(named, message):
    rows = rows_of(400, when=SHARE, who=["a", "b"] * 200, one="b")
    rows["once"] = pd.Timestamp("2020-01-01")
    y = np.arange(400) % 2
    if named == {"date": "classes"}:
        named, y = {"date": "when"}, np.repeat(np.arange(5), 80)
    with pytest.raises(UserError, match=message) as error:
        split_rows(rows, y, settings(**named), ["id"])
    assert "\n" not in str(error.value)


def test_a_growing_table_without_a_key_keeps_its_test_rows():
    x = np.random.default_rng(0).integers(30, size=3000).astype(float)  # equal rows too
    before = split_rows(pd.DataFrame({"x": x[:1500]}), x[:1500], SETTINGS)
    after = split_rows(pd.DataFrame({"x": x}), x, SETTINGS)
    assert set(before.test) == {row for row in after.test if row < 1500}


def test_a_class_that_no_row_has_is_left_out_of_the_metrics():
    random = np.random.default_rng(4)
    y, scores = random.choice([0, 1, 3], 300), random.random((300, 4))
    outputs = scores / scores.sum(axis=1, keepdims=True)
    found = evaluate(outputs, y, METRICS["classification"])
    areas = [metrics.roc_auc_score(y == code, outputs[:, code]) for code in (0, 1, 3)]
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, outputs, labels=range(4)))
    assert np.isnan(evaluate(outputs, np.zeros(300, int), METRICS["classification"])["roc_auc"])


def test_a_class_the_model_has_not_seen_has_the_probability_0():
    X = np.arange(6.0).reshape(-1, 1)
    model = LogisticRegression().fit(X, [0, 0, 0, 2, 2, 2])
    outputs = predict_outputs(model, X, 4)
    assert outputs[:, [1, 3]].max() == 0
    assert outputs[:, [0, 2]].tolist() == model.predict_proba(X).tolist()


@pytest.mark.parametrize("task", TASKS)
def test_a_model_answers_the_same_each_time(task):
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2000)})
    y = draw_target(task, 2000)
    for name in MODELS[task]:
        model = build_pipeline(name, task, X, SETTINGS).fit(X, y)
        classes = 3 if task == "classification" else 0
        first = predict_outputs(model, X, classes)
        for _ in range(4):  # threads add up the trees of a forest in any order
            again = predict_outputs(model, X, classes)
            np.testing.assert_allclose(again, first, rtol=1e-12, err_msg=name)


ROWS = 300
CLASS = np.random.default_rng(0).choice(["lost", "open", "won"], ROWS)
NUMBER = np.random.default_rng(0).normal(20, 5, ROWS).round(1)
WON = pd.Series(CLASS == "won")
KEYS = pd.Series([f"k{n * 7919 % ROWS}" for n in range(ROWS)])


def check(values, kind, y, rows=ROWS):
    """Look for leaks in a feature of noise and in one with these values."""
    noise, suspect = Column("noise", "number"), Column("suspect", kind, True)
    task = "regression" if y.dtype == float else "classification"
    target = Column("y", "number" if y.dtype == float else "category")
    table = Table((noise, suspect, target), (noise, suspect), target, task)
    x = np.random.default_rng(1).normal(size=ROWS)
    check_leaks(pd.DataFrame({"noise": x, "suspect": values}).head(rows), y[:rows], table)


@pytest.mark.parametrize(
    ("values", "kind", "y"),
    [
        (pd.Series(CLASS).map({"lost": "L", "open": "O", "won": "W"}), "category", CLASS),
        (pd.Series(CLASS).map({"lost": 3.0, "open": 1, "won": 2}), "number", CLASS),
        (pd.Series(pd.factorize(CLASS)[0]).astype("Int64"), "integer", CLASS),
        ((~WON).astype("boolean"), "boolean", np.where(WON, "yes", "no")),
        (pd.Series(["closed"] * ROWS).where(WON), "category", np.where(WON, "yes", "no")),
        (pd.Series(NUMBER).where(WON), "number", np.where(WON, "yes", "no")),
        (pd.Series(CLASS) + pd.Series(["", "?"] * (ROWS // 2)), "category", CLASS),
        (pd.Series(NUMBER * 1.8 + 32), "number", NUMBER),
        (pd.Series(-NUMBER), "number", NUMBER),
        (pd.Series(NUMBER).rank(method="dense").astype("Int64"), "integer", NUMBER),
        (pd.Series(NUMBER).mask(WON), "number", NUMBER),
        (KEYS, "category", CLASS),
        (pd.Series(np.random.default_rng(0).permutation(ROWS), dtype="Int64"), "integer", NUMBER),
    ],
)
def test_what_is_a_leak_or_numbers_the_rows_is_refused(values, kind, y):
    with pytest.raises(UserError, match="^target leakage: 'suspect' .*config.yaml: suspect$"):
        check(values, kind, y)


@pytest.mark.parametrize(
    ("values", "kind", "y"),
    [
        (pd.Series(CLASS).mask(np.arange(ROWS) % 20 == 0, "won"), "category", CLASS),
        (np.where(WON, 10.0, 0) + np.random.default_rng(2).random(ROWS), "number", CLASS),
        (NUMBER + np.random.default_rng(2).normal(0, 0.3, ROWS), "number", NUMBER),
        (np.ones(ROWS), "number", NUMBER),
        (pd.Series([None] * ROWS, dtype="str"), "category", CLASS),
        (KEYS.mask(np.arange(ROWS) < 3), "category", CLASS),
        (pd.Series(np.arange(ROWS) * 3, dtype="Int64"), "integer", NUMBER),
        (pd.Series(pd.date_range("2020-01-01", periods=ROWS)), "date", NUMBER),
    ],
)
def test_what_is_no_leak_is_not_refused(values, kind, y):
    check(values, kind, y)


def test_of_few_rows_nothing_is_certain():
    check(CLASS, "category", CLASS, rows=49)


def test_equal_rows_without_a_key_are_drawn_apart() -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0] * 500})
    split = split_rows(rows, np.arange(1000.0), SETTINGS)
    assert 150 < len(split.test) < 250


def test_of_few_rows_each_class_has_its_share() -> None:
    y = np.repeat([0, 1], [80, 20])
    split = split_rows(rows_of(100), y, SETTINGS, ["id"])
    assert np.bincount(y[split.test]).tolist() == [16, 4]
    assert sorted([*split.train, *split.test]) == list(range(100))
    assert not split.is_lasting


@pytest.mark.parametrize("groups", [8, 100])
def test_no_group_is_on_both_sides(groups: int) -> None:
    who = pd.Series(np.random.default_rng(0).integers(groups, size=600)).astype("Int64")
    rows = rows_of(600, who=who.mask(np.arange(600) % 10 == 0))
    config, y = settings(group="who"), np.arange(600) % 2
    split = split_rows(rows, y, config, ["id"])
    folds = make_folds(rows, y, config)
    for each in (split, *folds):
        train, test = (rows["who"].iloc[part].dropna() for part in each[:2])
        assert set(train).isdisjoint(test)
        assert len(train) > len(test) > 0
    share = rows["who"].iloc[split.test].isna().mean()
    assert share < 0.5  # rows without a value are not one group


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_newest_days_are_the_test_and_stay_whole(task):
    hours = np.random.default_rng(0).permutation(400) * 2
    when = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, unit="h"))
    rows = rows_of(400, when=when.mask(np.arange(400) % 25 == 0))
    split = split_rows(rows, np.arange(400) % 2, settings(date="when"))
    days = rows["when"].dt.floor("D")
    assert days.iloc[split.train].max() < days.iloc[split.test].min()
    assert days.iloc[split.test].notna().all()  # a row without a date is trained on
    assert 60 <= len(split.test) <= 100
