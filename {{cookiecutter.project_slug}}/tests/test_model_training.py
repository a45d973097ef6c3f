"""Models, and how rows are held out for the test."""

import numpy as np
import pandas as pd
import pytest
from conftest import train_model
from sklearn.dummy import DummyClassifier, DummyRegressor

from {{ cookiecutter.project_slug }}.config import TrainingConfig
from {{ cookiecutter.project_slug }}.model_training import (
    MODELS,
    encode_classes,
    make_dataset,
)
from {{ cookiecutter.project_slug }}.schema import Column, Table, read_table
from {{ cookiecutter.project_slug }}.splits import split_rows
from {{ cookiecutter.project_slug }}.utils import UserError

SETTINGS = TrainingConfig(model="gradient_boosting")


def settings(**changes):
    return SETTINGS.model_copy(update=changes)


def small_table(kind, task):
    x, y = Column("x", "number", True), Column("y", kind)
    return Table((x, y), (x,), y, task)


def rows_of(count, **columns):
    return pd.DataFrame({"id": [f"k{n}" for n in range(count)], **columns})


def test_every_model_beats_the_baseline(trained_config):
    for name in MODELS[read_table(trained_config).task]:
        dataset, pipeline = train_model(trained_config, name)
        score = pipeline.score(dataset.X_test, dataset.y_test)  # accuracy or R²
        baseline = DummyClassifier() if dataset.labels else DummyRegressor()
        baseline.fit(dataset.X_train, dataset.y_train)
        assert score > baseline.score(dataset.X_test, dataset.y_test) + 0.1, name


def test_of_two_labels_the_positive_one_is_second():
    target = pd.Series(["Yes", "No", "No"])
    assert encode_classes(target)[1] == ["No", "Yes"]  # the rarer one
    y, labels = encode_classes(target, "No")
    assert (y.tolist(), labels) == ([0, 1, 1], ["Yes", "No"])
    numbers = pd.Series([3, 1, 3, 2], dtype="Int64")
    assert encode_classes(numbers)[1] == [1, 2, 3]
    with pytest.raises(UserError, match=r"training.positive: 'Maybe' is not a class"):
        encode_classes(target, "Maybe")


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (["yes"] * 20, "category", r"the target 'y' has 1 class\(es\)"),
        ([0.5] * 20, "number", "the target has the same value in all rows"),
        ([0.5, 1.0] * 4, "number", "8 rows are too few"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(target, kind, message):
    task = "classification" if kind == "category" else "regression"
    frame = pd.DataFrame({"x": np.arange(len(target), dtype=float), "y": target})
    with pytest.raises(UserError, match=message):
        make_dataset(frame, small_table(kind, task), SETTINGS)


def test_a_row_that_tests_keeps_testing_when_the_table_grows():
    random = np.random.default_rng(0)
    everyone = rows_of(2000, x=random.normal(size=2000))
    y = random.integers(2, size=2000)
    before = split_rows(everyone[:1000], y[:1000], SETTINGS, ["id"])
    shuffled = random.permutation(2000)
    after = split_rows(everyone.iloc[shuffled], y[shuffled], SETTINGS, ["id"])
    assert before.is_lasting
    assert set(before.test) == {row for row in shuffled[after.test] if row < 1000}
    assert 150 < len(before.test) < 250
    other = split_rows(everyone, y, settings(random_seed=1), ["id"])
    assert set(other.test) != set(shuffled[after.test])
