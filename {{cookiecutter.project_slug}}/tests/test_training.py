"""How rows are split, models chosen and judged, leaks refused; and what `uv run train` leaves."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import save_trained, train, train_model
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from {{ cookiecutter.project_slug }}.config import Config, Task, TrainingConfig
from {{ cookiecutter.project_slug }}.evaluation import evaluate, find_metric, guess
from {{ cookiecutter.project_slug }}.model_training import MODELS, Prepared, Split, encode_target
from {{ cookiecutter.project_slug }}.schema import Column, Kind, Table, read_table
from {{ cookiecutter.project_slug }}.training import model_selection as selection
from {{ cookiecutter.project_slug }}.training.model_card import show_number
from {{ cookiecutter.project_slug }}.training.preparation import (
    make_folds,
    prepare,
    read_order,
    split_rows,
)
from {{ cookiecutter.project_slug }}.training.train import main, read_processed, run
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

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


def test_an_unknown_model_is_refused() -> None:
    message = "^no model 'logistic' for a regression; there are: linear, "
    with pytest.raises(UserError, match=message):
        train(
            small_frame([0.5] * 20),
            small_table("number", "regression"),
            "logistic",
            SETTINGS,
        )


def test_a_setting_the_model_does_not_know_is_refused() -> None:
    config = settings(settings={"linear": {"nonsense": 1}})
    with pytest.raises(UserError, match=r"training\.settings\.linear .*nonsense"):
        train(
            small_frame([0.5] * 20),
            small_table("number", "regression"),
            "linear",
            config,
        )


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
    assert sorted(prepared.vocabulary["x"]) == sorted(
        frame["x"].iloc[prepared.split.train]
    )
    assert (prepared.features[prepared.split.test] == -1).all()


def test_a_target_with_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"the target 'y' has 1 class\(es\)"):
        table = small_table("category", "classification")
        train(small_frame(["yes"] * 20), table, "logistic", SETTINGS)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UserError, match="9 rows are too few"):
        train(
            small_frame([0.5] * 9),
            small_table("number", "regression"),
            "linear",
            SETTINGS,
        )


# --- splitting ---


def no_overlap(split: Split, rows: int) -> None:
    """Each row is on one side, and there are rows on both."""
    assert sorted([*split.train, *split.test]) == list(range(rows))
    assert len(split.train) > len(split.test) > 0


def random_target(task: Task, rows: int) -> NDArray[Any]:
    draw = np.random.default_rng(1)
    return (
        draw.integers(3, size=rows)
        if task == "classification"
        else draw.normal(size=rows)
    )


def moments() -> pd.Series:
    """Times of 40 days, 10 rows a day, in no order; every 25th is missing."""
    draw = np.random.default_rng(0)
    hours = draw.permutation(400) // 10 * 24 + draw.integers(24, size=400)
    times = pd.Series(pd.Timestamp("1999-12-20") + pd.to_timedelta(hours, unit="h"))
    return times.mask(times.index % 25 == 0)


def test_the_split_keeps_the_classes_shares() -> None:
    target = np.repeat([0, 1], [80, 20])
    split = split_rows(target, "classification", SETTINGS)
    assert np.bincount(target[split.test]).tolist() == [16, 4]
    no_overlap(split, 100)


@pytest.mark.parametrize("task", TASKS)
def test_the_newest_days_are_the_test_and_stay_whole(task: Task) -> None:
    frame = pd.DataFrame({"when": moments()})
    config = settings(date="when")
    split = split_rows(
        random_target(task, 400), task, config, read_order(frame, config)
    )
    no_overlap(split, 400)
    day = frame["when"].dt.floor("D")
    assert day.iloc[split.train].max() < day.iloc[split.test].min()
    assert day.iloc[split.test].notna().all()  # a row without a date is learnt from
    assert 60 <= len(split.test) <= 100


@pytest.mark.parametrize("task", TASKS)
def test_no_group_is_on_both_sides(task: Task) -> None:
    frame = pd.DataFrame(
        {"who": np.random.default_rng(0).choice([*"abcdefgh", None], 400)}
    )
    config = settings(group="who")
    order, target = read_order(frame, config), random_target(task, 400)
    split = split_rows(target, task, config, order)
    no_overlap(split, 400)
    folds = make_folds(target, task, config, order)
    assert len(folds) == 5
    for each in (split, *folds):
        who = frame["who"].fillna("missing")
        assert set(who.iloc[each.train]).isdisjoint(who.iloc[each.test])


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
    scores, likeliest = (
        outputs[:, 1] if classes == 2 else outputs,
        outputs.argmax(axis=1),
    )
    expected = {
        "roc_auc": metrics.roc_auc_score(target, scores, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(target, likeliest),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, likeliest),
        "log_loss": metrics.log_loss(target, outputs),
    }
    assert evaluate(target, outputs) == pytest.approx(expected)


def test_the_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    target, predicted = np.random.default_rng(0).normal(5, 2, (2, 300))
    expected = {
        "rmse": metrics.root_mean_squared_error(target, predicted),
        "mae": metrics.mean_absolute_error(target, predicted),
        "r2": metrics.r2_score(target, predicted),
    }
    assert evaluate(target, predicted) == pytest.approx(expected)
    assert np.isnan(evaluate(np.ones(9), predicted[:9])["r2"])


def test_the_baseline_is_that_of_scikit_learn() -> None:
    learnt, features = np.array([0, 0, 2, 2, 2, 1]), np.zeros((6, 1))
    shares = (
        DummyClassifier(strategy="prior")
        .fit(features, learnt)
        .predict_proba(features[:4])
    )
    assert guess(learnt, 4, 3).tolist() == shares.tolist()
    mean = DummyRegressor().fit(features, learnt).predict(features[:4])
    assert guess(learnt, 4, 0).tolist() == mean.tolist()


def test_the_metric_that_counts_most_is_found_or_refused() -> None:
    assert find_metric(None, "classification") == "roc_auc"
    assert find_metric("mae", "regression") == "mae"
    with pytest.raises(
        UserError, match=r"training\.metric: no 'mae' for a classification; one of"
    ):
        find_metric("mae", "classification")


# --- leaks ---


ROWS = 300


CLASS = np.random.default_rng(0).choice(["lost", "open", "won"], ROWS)


NUMBER = np.random.default_rng(0).normal(20, 5, ROWS).round(1)


def prepare_with(
    values: object, kind: Kind, target: NDArray[Any], rows: int = ROWS
) -> Prepared:
    """Prepare a table of a feature of noise and of one with these values."""
    columns = (Column("noise", "number"), Column("suspect", kind, True))
    noise = np.random.default_rng(1).normal(size=ROWS)
    frame = pd.DataFrame({"noise": noise, "suspect": values, "y": target}).head(rows)
    of_numbers = target.dtype == float
    task: Task = "regression" if of_numbers else "classification"
    table = Table(columns, Column("y", "number" if of_numbers else "category"), task)
    return prepare(frame, table, SETTINGS)


@pytest.mark.parametrize(
    ("values", "kind", "target"),
    [
        (
            pd.Series(CLASS).map({"lost": "L", "open": "O", "won": "W"}),
            "category",
            CLASS,
        ),
        (pd.Series(CLASS).map({"lost": 3.0, "open": 1, "won": 2}), "number", CLASS),
        (NUMBER * 1.8 + 32, "number", NUMBER),
    ],
    ids=["recoded", "numbers", "another unit"],
)
def test_what_tells_the_target_by_itself_is_refused(
    values: object, kind: Kind, target: NDArray[Any]
) -> None:
    with pytest.raises(
        UserError, match=r"^the feature 'suspect' tells the target by itself: "
    ):
        prepare_with(values, kind, target)


@pytest.mark.parametrize("target", [CLASS, NUMBER], ids=["classes", "numbers"])
def test_a_key_is_refused(target: NDArray[Any]) -> None:
    keys = [f"k{n * 7919 % ROWS}" for n in range(ROWS)]
    with pytest.raises(
        UserError, match=r"^the feature 'suspect' has another value in each row"
    ):
        prepare_with(keys, "category", target)


def test_what_is_no_leak_is_not_refused() -> None:
    nearly = pd.Series(CLASS).mask(np.arange(ROWS) % 20 == 0, "won")
    strong = NUMBER + np.random.default_rng(2).normal(0, 0.3, ROWS)
    dates = pd.Series(pd.date_range("2020-01-01", periods=ROWS))
    assert prepare_with(nearly, "category", CLASS).features.shape[0] == ROWS
    assert prepare_with(strong, "number", NUMBER).features.shape[0] == ROWS
    assert prepare_with(dates, "date", NUMBER).features.shape[0] == ROWS


# --- the command ---


CLASSES_ONLY = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def type_in(monkeypatch: pytest.MonkeyPatch, config: Config, *words: str) -> None:
    """Type `train` and these words in a project's folder."""
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["train", *words])
    main()


def read_record(model: Path) -> dict[str, Any]:
    """Read the JSON beside a model file."""
    return json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))


@CLASSES_ONLY
def test_set_changes_one_setting_of_the_model(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "low.onnx"
    words = [
        "--model",
        "random_forest",
        "--set",
        "max_depth=2",
        "--output",
        str(output),
    ]
    type_in(monkeypatch, trained_config, *words)
    assert read_record(output)["settings"] == {"n_estimators": 20, "max_depth": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "max_depth"], "--set max_depth: write it as in --set max_depth=6"),
        (
            ["--set", "a=1", "--model", "all"],
            "--set is for one model; name it by --model",
        ),
        (
            ["--output", "model.pkl"],
            r"model\.pkl: a model file's name must end in \.onnx",
        ),
        (
            ["--data", "none.parquet"],
            r"no processed table at none\.parquet; run: uv run pipeline",
        ),
    ],
)
@CLASSES_ONLY
def test_a_mistake_is_told_in_one_line(
    trained_config: Config,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        type_in(monkeypatch, trained_config, *words)
    assert stop.value.code == 2
    assert re.fullmatch(f"error: .*{message}.*\n", capsys.readouterr().err)


def test_processed_data_that_cannot_be_read_is_refused(config: Config) -> None:
    path, table = config.paths.processed, read_table(config)
    path.parent.mkdir(parents=True)
    path.write_text("id,outcome\n", encoding="utf-8")
    with pytest.raises(UserError, match="is not Parquet"):
        read_processed(path, table, config.training)
    pd.DataFrame({"x": [1.0]}).to_parquet(path)
    with pytest.raises(UserError, match="has no column 'Total Charges'; run again"):
        read_processed(path, table, config.training)


def score_of(model: str, *metrics: float) -> selection.Score:
    return selection.Score(model, list(metrics), 0.1, 0.1)


def test_a_clear_lead_wins_and_among_ties_the_simplest() -> None:
    best, near = score_of("c", 0.90, 0.92, 0.91), score_of("b", 0.91, 0.90, 0.91)
    simple, worse = score_of("a", 0.90, 0.93, 0.89), score_of("0", 0.85, 0.87, 0.86)
    order = ["0", "a", "b", "c"]
    assert selection.choose_model([best, worse], order) == ("c", ["c"])
    chosen, ties = selection.choose_model([best, near, simple, worse], order)
    assert (chosen, sorted(ties)) == ("a", ["a", "b", "c"])


def test_the_record_says_how_the_model_came_about(trained_config: Config) -> None:
    path = trained_config.paths.model
    record, settings = read_record(path), trained_config.training.settings
    assert record["model"] == "gradient_boosting"
    assert record["settings"] == settings["gradient_boosting"]
    assert record["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert record["config"] == fingerprint(trained_config.root / "config.yaml")
    assert record["schema"] == fingerprint(trained_config.schema_file)
    assert record["file"]["sha256"] == fingerprint(path)
    assert record["train_rows"] + record["test_rows"] == record["data"]["rows"] == 300
    assert (
        record["metrics"].keys()
        == record["baseline"].keys()
        == record["intervals"].keys()
    )
    assert TypeAdapter(Table).validate_python(record["table"]) == read_table(
        trained_config
    )
    assert {"python", "scikit-learn", "onnxruntime"} <= record["versions"].keys()
    assert 0 < record["seconds"] < 600


def test_the_card_stands_beside_and_holds_the_metrics(trained_config: Config) -> None:
    record = read_record(trained_config.paths.model)
    page = (trained_config.root / "reports" / "model_card.html").read_text(
        encoding="utf-8"
    )
    for name, value in record["metrics"].items():
        assert show_number(value) in page, name
        assert show_number(record["baseline"][name], value) in page, name


@CLASSES_ONLY
def test_the_same_training_gives_the_same_file(
    trained_config: Config, tmp_path: Path
) -> None:
    output = tmp_path / "elsewhere" / "again.onnx"
    run(trained_config.paths.processed, "gradient_boosting", output, trained_config)
    assert output.read_bytes() == trained_config.paths.model.read_bytes()


@CLASSES_ONLY
def test_each_training_is_a_line_and_list_shows_them(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for model in ("logistic", "random_forest"):
        trained = train_model(trained_config, model)
        save_trained(tmp_path / f"{model}.onnx", trained, trained_config)
    type_in(
        monkeypatch, trained_config, "--list", "--output", str(tmp_path / "model.onnx")
    )
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["trained", "model", "metric", "test", "95"]
    assert first.split()[2:4] == ["logistic", "roc_auc"]
    assert second.split()[2:4] == ["random_forest", "roc_auc"]
    assert f"{trained.metrics['roc_auc']:.4g}" in second
