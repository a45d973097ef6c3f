import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.semi_supervised import LabelPropagation

from {{ cookiecutter.project_slug }} import model_training
from {{ cookiecutter.project_slug }}.config import Config, TrainingConfig
from {{ cookiecutter.project_slug }}.evaluation import (
    calculate_roc_auc,
    evaluate,
    evaluate_baseline,
    format_metrics,
)
from {{ cookiecutter.project_slug }}.model_saving import compare, convert_to_onnx, save_model
from {{ cookiecutter.project_slug }}.model_training import (
    BOOSTING,
    LINEAR,
    MODELS,
    Trained,
    encode_target,
    read_processed,
    round_for_thresholds,
    split_rows,
    train,
)
from {{ cookiecutter.project_slug }}.prediction import load_model, load_onnx
from {{ cookiecutter.project_slug }}.schema import Column, Kind, Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

SETTINGS = TrainingConfig(model="gradient_boosting")


def small_frame(target: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(len(target), dtype=float), "y": target})


def small_table(kind: str, task: str) -> Table:
    target = Column("y", kind)  # type: ignore[arg-type]
    return Table((Column("x", "number", True),), target, task)  # type: ignore[arg-type]


def test_every_model_beats_the_baseline(trained_config: Config) -> None:
    table = read_table(trained_config)
    frame = read_processed(trained_config.paths.processed, [*table.features, table.target])
    for name in MODELS[table.task]:
        trained = train(frame, table, name, trained_config.training)
        better = "accuracy" if table.task == "classification" else "r2"
        assert trained.metrics[better] > trained.baseline[better] + 0.1, name


def test_training_twice_gives_the_same(trained_config: Config) -> None:
    table = read_table(trained_config)
    frame = read_processed(trained_config.paths.processed, [*table.features, table.target])
    for name in MODELS[table.task]:
        once, again = (train(frame, table, name, trained_config.training) for _ in range(2))
        assert once.metrics == pytest.approx(again.metrics, rel=1e-9)


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
    trained = train(frame, small_table("number", "regression"), "linear", SETTINGS)
    assert len(trained.split.train) + len(trained.split.test) == len(trained.features) == 20


def test_the_vocabulary_has_only_what_the_training_rows_have() -> None:
    table = Table((Column("x", "category"),), Column("y", "number"), "regression")
    frame = pd.DataFrame({"x": [f"town {n}" for n in range(40)], "y": np.arange(40.0)})
    trained = train(frame, table, "linear", SETTINGS)
    assert sorted(trained.vocabulary["x"]) == sorted(frame["x"].iloc[trained.split.train])
    assert (trained.features[trained.split.test] == -1).all()


def test_the_split_keeps_the_classes_shares() -> None:
    target = np.repeat([0, 1], [80, 20])
    split = split_rows(target, "classification", SETTINGS)
    assert np.bincount(target[split.test]).tolist() == [16, 4]
    assert sorted([*split.train, *split.test]) == list(range(100))


@pytest.mark.parametrize("kind", ["number", "date", "category", "boolean"])
def test_a_table_with_one_feature_of_any_kind_even_without_values(kind: Kind) -> None:
    table = Table((Column("x", kind, True),), Column("y", "category"), "classification")
    dtypes = {"number": "float64", "date": "datetime64[ns]", "category": "str"}
    missing = pd.Series([None] * 40, dtype=dtypes.get(kind, "boolean"))
    frame = pd.DataFrame({"x": missing, "y": ["no", "yes"] * 20})
    for model in MODELS["classification"]:
        trained = train(frame, table, model, SETTINGS)
        assert trained.metrics["accuracy"] == trained.baseline["accuracy"]
        assert convert_to_onnx(trained, {})


def test_the_only_row_of_a_class_is_learnt_from_twice() -> None:
    target = np.array([0] * 30 + [1] * 30 + [2])
    for seed in range(10):
        settings = SETTINGS.model_copy(update={"random_seed": seed})
        split = split_rows(target, "classification", settings)
        assert target[split.train].tolist().count(2) == 2
        assert len(split.train) + len(split.test) == 62


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nonsense", "no model 'nonsense' for a regression; there are: gradient_boosting"),
        ("logistic", "no model 'logistic' for a regression; there are: .*linear"),
    ],
)
def test_an_unknown_model_is_refused(model: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(small_frame([0.5] * 20), small_table("number", "regression"), model, SETTINGS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"nonsense": 1}, r"training\.settings\.linear: .*nonsense"), ({"alpha": -1}, "alpha")],
)
def test_a_setting_the_model_does_not_know_is_refused(
    settings: dict[str, object], message: str
) -> None:
    config = SETTINGS.model_copy(update={"settings": {"linear": settings}})
    with pytest.raises(UserError, match=message):
        train(small_frame([0.5] * 20), small_table("number", "regression"), "linear", config)


def test_a_target_with_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"the target 'y' has 1 class\(es\)"):
        table = small_table("category", "classification")
        train(small_frame(["yes"] * 20), table, "logistic", SETTINGS)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(UserError, match="9 rows are too few"):
        train(small_frame([0.5] * 9), small_table("number", "regression"), "linear", SETTINGS)


def test_processed_data_that_cannot_be_read_is_refused(config: Config) -> None:
    path = config.paths.processed
    with pytest.raises(UserError, match=r"no processed table .*; run: uv run pipeline\.py"):
        read_processed(path, [])
    path.parent.mkdir(parents=True)
    path.write_text("id,outcome\n", encoding="utf-8")
    with pytest.raises(UserError, match="is not Parquet"):
        read_processed(path, [])
    with pytest.raises(UserError, match="is not Parquet"):
        read_processed(path.parent, [])
    small_frame([1.0]).to_parquet(path)
    with pytest.raises(UserError, match="no column 'z'"):
        read_processed(path, [Column("z", "number")])


def test_the_command_line_says_how_good_the_model_is(
    trained_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(trained_config.root)
    monkeypatch.setattr("sys.argv", ["train", "--model", "random_forest", "--output", "rf.onnx"])
    with caplog.at_level("INFO"):
        model_training.main()
    assert "baseline: " in caplog.text
    report = json.loads((trained_config.root / "rf.json").read_text(encoding="utf-8"))
    assert report["model"] == "random_forest"


@pytest.mark.parametrize("model", MODELS["classification"])
def test_onnx_decides_alike_wherever_a_tree_may_split(model: str) -> None:
    x = 1e6 + np.random.default_rng(0).normal(size=2000)  # float32 holds these to 1/16
    frame = pd.DataFrame({"x": x, "y": np.where(x % 1 < 0.5, "Yes", "No")})
    trained = train(frame, small_table("category", "classification"), model, SETTINGS)
    answer, _ = load_onnx(convert_to_onnx(trained, {}))
    values = np.unique(round_for_thresholds(trained.features))
    middle = ((values[:-1].astype(float) + values[1:]) / 2).astype(np.float32)
    ways = (np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(2e6)))
    features = np.concatenate(ways).reshape(-1, 1)
    expected = trained.pipeline.predict_proba(features)
    np.testing.assert_allclose(answer(features), expected, atol=1e-5)


def train_model(name: str, config: Config) -> Trained:
    table = read_table(config)
    frame = read_processed(config.paths.processed, [*table.features, table.target])
    return train(frame, table, name, config.training)


def test_every_model_converts_and_answers_alike(trained_config: Config) -> None:
    for name in MODELS[read_table(trained_config).task]:
        assert convert_to_onnx(train_model(name, trained_config), {})  # raises if it differs


def test_the_report_says_how_the_model_came_about(trained_config: Config) -> None:
    path = trained_config.paths.model
    report = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert report["model"] == "gradient_boosting"
    assert report["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert report["file"]["sha256"] == fingerprint(path)
    assert report["train_rows"] + report["test_rows"] == 300
    assert report["metrics"].keys() == report["baseline"].keys()
    assert TypeAdapter(Table).validate_python(report["table"]) == read_table(trained_config)
    assert {"python", "scikit-learn", "onnxruntime"} <= report["versions"].keys()


def test_the_same_training_gives_the_same_file_but_for_its_time(trained_config: Config) -> None:
    first, again = trained_config.paths.model, trained_config.root / "again.onnx"
    model_training.run(trained_config.paths.processed, "gradient_boosting", again, trained_config)
    times = [load_model(path).about["trained"].encode() for path in (again, first)]
    assert again.read_bytes().replace(*times) == first.read_bytes()


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (LINEAR(lambda random_state: LabelPropagation()), "no conversion"),
        (
            BOOSTING(partial(HistGradientBoostingClassifier, categorical_features=[1])),
            "answers differently",
        ),
    ],
)
def test_what_onnx_cannot_answer_alike_is_not_saved(
    trained_config: Config, recipe: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS["classification"], "special", recipe)
    output = trained_config.root / "special.onnx"
    output.write_bytes(b"the model before")
    with pytest.raises(UserError, match=f"^special .*{reason}"):
        model_training.run(trained_config.paths.processed, "special", output, trained_config)
    assert output.read_bytes() == b"the model before"


def test_another_suffix_is_refused(trained_config: Config) -> None:
    trained = train_model("gradient_boosting", trained_config)
    data = trained_config.paths.processed
    output = trained_config.root / "model.pkl"
    with pytest.raises(UserError, match=r"must end in \.onnx$"):
        save_model(output, trained, data, trained_config)
    assert not output.exists()


def test_compare_is_absolute_for_probabilities_and_relative_for_numbers() -> None:
    assert compare(np.array([[0.5, 0.5]]), np.array([[0.4, 0.6]])) == pytest.approx(0.1)
    assert compare(np.array([1000.0]), np.array([1001.0])) == pytest.approx(0.001)


FEATURES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
CLASSES = np.array([0, 0, 1, 1])
NUMBERS = np.array([1.0, 3.0, 5.0, 7.0])


def test_a_perfect_classifier() -> None:
    model = LogisticRegression(C=1e6).fit(FEATURES, CLASSES)
    metrics = evaluate(model, FEATURES, CLASSES, "classification")
    assert metrics["accuracy"] == metrics["roc_auc"] == 1
    assert metrics["log_loss"] == pytest.approx(0, abs=1e-3)


def test_a_perfect_regression() -> None:
    model = LinearRegression().fit(FEATURES, NUMBERS)
    metrics = evaluate(model, FEATURES, NUMBERS, "regression")
    assert metrics == pytest.approx({"rmse": 0, "mae": 0, "r2": 1}, abs=1e-9)


def test_the_baseline_guesses_the_most_frequent_class_or_the_mean() -> None:
    train = np.array([0, 0, 0, 1])
    metrics = evaluate_baseline(train, CLASSES, "classification")
    assert metrics["accuracy"] == metrics["roc_auc"] == 0.5
    metrics = evaluate_baseline(NUMBERS, NUMBERS, "regression")
    assert metrics["rmse"] == pytest.approx(5**0.5)
    assert metrics["r2"] == pytest.approx(0)


def test_roc_auc_of_several_classes_is_the_mean_and_skips_an_absent_class() -> None:
    probabilities = np.eye(3)[[0, 1, 1, 1]]
    assert calculate_roc_auc(np.array([0, 1, 1, 1]), probabilities) == 1
    mixed = calculate_roc_auc(np.array([0, 1, 2, 1]), probabilities)
    assert mixed == pytest.approx((1 + 0.75 + 0.5) / 3)
    assert np.isnan(calculate_roc_auc(np.array([0, 0]), probabilities[:2]))


def test_format_metrics_is_one_line() -> None:
    assert format_metrics({"accuracy": 0.83114, "rmse": 123.456}) == "accuracy 0.8311, rmse 123.5"
