"""What `uv run train` does: compare models, search settings, describe, save, and remember."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import make_project, save_trained, train_model
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.semi_supervised import LabelPropagation

from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.evaluation import (
    estimate_intervals,
    evaluate,
    evaluate_slices,
    find_metric,
    merit,
    rank_features,
)
from {{ cookiecutter.project_slug }}.feature_engineering import feature_names
from {{ cookiecutter.project_slug }}.model_training import (
    BOOSTING,
    FOREST,
    LINEAR,
    MODELS,
    Prepared,
    Split,
    limit_threads,
)
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

import training.model_selection as selection
import training.train as train
from training.description import describe, list_notes, read_commit
from training.model_card import show_number
from training.model_saving import (
    HISTORY,
    compare,
    convert_to_onnx,
    save_model,
    show_history,
)
from training.preparation import prepare

CLASSES_ONLY = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def make_table(root: Path, target: str, rows: int, share: float = 0.5, told: float = 1) -> Config:
    """Make a project with a processed table, whose target follows one of three features.

    `share` is that of the rarer class, `told` how much the feature tells.
    """
    root.mkdir(exist_ok=True)
    config, draw = make_project(root, target), np.random.default_rng(0)
    matters, noise = draw.normal(size=(2, rows)).round(2)
    score = told * matters + 0.3 * draw.normal(size=rows)
    won = score > np.quantile(score, 1 - share)
    columns = {
        "id": [f"k{n}" for n in range(rows)],
        "matters": matters,
        "noise": noise,
        "colour": draw.choice(["red", "green", "blue"], rows),
        "outcome": np.where(won, "won", "lost") if target == "classes" else score,
    }
    dtypes = {"id": "str", "matters": "float64", "noise": "float64", "colour": "str"}
    dtypes["outcome"] = "str" if target == "classes" else "float64"
    schema = {"schema_type": "dataframe", "columns": {n: {"dtype": d} for n, d in dtypes.items()}}
    config.schema_file.write_text(yaml.safe_dump(schema), encoding="utf-8")
    file = root / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    few = {"random_forest": {"n_estimators": 5}, "gradient_boosting": {"max_iter": 10}}
    content["training"]["settings"] = few
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    config.paths.processed.parent.mkdir(parents=True)
    pd.DataFrame(columns).to_parquet(config.paths.processed)
    return read_config(root)


def prepare_table(config: Config) -> tuple[Prepared, str]:
    """Prepare the processed table of a project; return the metric that counts most too."""
    table = read_table(config)
    frame = train.read_processed(config.paths.processed, table, config.training)
    return prepare(frame, table, config.training), find_metric(None, table.task)


def type_in(monkeypatch: pytest.MonkeyPatch, config: Config, *words: str) -> None:
    """Type `train` and these words in a project's folder."""
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["train", *words])
    train.main()


def read_record(model: Path) -> dict[str, Any]:
    """Read the JSON beside a model file."""
    return json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["classes", "numbers"])
def table_config(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Config:
    """A project with a small processed table, nothing trained."""
    return make_table(tmp_path_factory.mktemp("table"), request.param, 600)


# --- choosing among all models ---


def score_of(model: str, *metrics: float) -> selection.Score:
    return selection.Score(model, list(metrics), 0.1, 0.1)


def test_a_clear_lead_wins_and_among_ties_the_simplest() -> None:
    best, near = score_of("c", 0.90, 0.92, 0.91), score_of("b", 0.91, 0.90, 0.91)
    simple, worse = score_of("a", 0.90, 0.93, 0.89), score_of("0", 0.85, 0.87, 0.86)
    order = ["0", "a", "b", "c"]
    assert selection.choose_model([best, worse], order) == ("c", ["c"])
    chosen, ties = selection.choose_model([best, near, simple, worse], order)
    assert (chosen, sorted(ties)) == ("a", ["a", "b", "c"])


def test_a_lead_counts_by_how_much_it_varies_over_the_folds() -> None:
    assert selection.is_tie([0.9, 0.8, 0.7], [0.8, 0.9, 0.6])
    assert not selection.is_tie([0.9, 0.8, 0.7], [0.89, 0.79, 0.69])  # small, but always there
    assert not selection.is_tie([5.0, 6, 7], [1, 2, 3.5])
    assert selection.is_tie([0.9, 0.8], [0.9, 0.8])


def test_all_models_are_compared_on_the_same_folds(
    table_config: Config, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(pipeline: Any, *arguments: Any) -> pd.DataFrame:
        seen.append(arguments[2])
        return score_folds(pipeline, *arguments)

    score_folds = selection.score_folds
    monkeypatch.setattr(selection, "score_folds", spy)
    prepared, metric = prepare_table(table_config)
    with caplog.at_level("INFO"):
        choice, comparison = train.choose(prepared, "all", metric, table_config.training)
    names = list(MODELS[prepared.table.task])
    assert len(seen) == len(names)
    assert all(folds is seen[0] for folds in seen)
    assert choice == names[0]  # the straight line the data was made by
    assert sorted(each["model"] for each in comparison) == sorted(names)
    merits = [merit(each["mean"], metric) for each in comparison]
    assert merits == sorted(merits, reverse=True)
    number = r"[\d.e-]+"
    for name in names:
        line = rf"{name}: {metric} {number} ± {number}, {number} s to fit, {number} s to predict; "
        assert re.search(line, caplog.text), line
    assert f"the choice is {choice}" in caplog.text


def test_the_mean_and_the_spread_are_those_of_the_folds() -> None:
    score = score_of("a", 0.7, 0.9, 0.8)
    assert (score.mean, score.spread) == (pytest.approx(0.8), pytest.approx(0.1))


def test_the_test_rows_are_never_in_a_fold(
    table_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[NDArray[Any]] = []

    def spy(name: str) -> None:
        real = getattr(train, name)

        def keep(*arguments: Any, **more: Any) -> Any:
            given.append(more["features"])
            return real(*arguments, **more)

        monkeypatch.setattr(train, name, keep)

    spy("compare_models")
    spy("tune")
    prepared, metric = prepare_table(table_config)
    prepared.features[:, 0] = np.arange(600)  # each row can be told
    model, config = next(iter(MODELS[prepared.table.task])), table_config.training
    train.choose(prepared, "all", metric, config)
    with joblib.parallel_config(backend="threading"):
        train.search(prepared, model, metric, config, 1)
    for features in given:
        assert sorted(features[:, 0]) == sorted(prepared.split.train)
    assert len(given) == 2


@CLASSES_ONLY
def test_a_new_model_is_one_entry(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stumps = partial(ExtraTreesClassifier, n_estimators=10, max_depth=1)
    trees = FOREST(stumps, {"max_depth": [6, 7, 8]})
    monkeypatch.setitem(MODELS["classification"], "extra_trees", trees)
    output, data = tmp_path / "trees.onnx", trained_config.paths.processed
    words = ["--model", "extra_trees", "--tune", "2", "--output", str(output)]
    with joblib.parallel_config(backend="threading"), caplog.at_level("INFO"):
        type_in(monkeypatch, trained_config, *words)
    record = read_record(output)
    assert record["model"] == load_model(output).about["model"] == "extra_trees"
    assert record["settings"]["max_depth"] > 1
    told = re.search(r"write into config.yaml, training, settings: extra_trees: (.*)", caplog.text)
    assert told
    assert json.loads(told[1]) == record["settings"]
    assert record["tuning"]["candidates"] == 2
    assert record["tuning"]["score"] > record["tuning"]["untuned"]

    train.run(data, "all", tmp_path / "all.onnx", trained_config)
    compared = [each["model"] for each in read_record(tmp_path / "all.onnx")["comparison"]]
    assert sorted(compared) == sorted(MODELS["classification"])


# --- settings ---


@pytest.mark.parametrize(
    ("text", "value"),
    [("6", 6), ("0.5", 0.5), ("true", True), ("null", None), ("log2", "log2"), ("[1, 2]", [1, 2])],
)
def test_a_setting_is_read_as_in_config_yaml(text: str, value: object) -> None:
    assert train.read_setting(f"name={text}") == ("name", value)


def test_set_changes_one_setting_of_the_model(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "low.onnx"
    words = ["--model", "random_forest", "--set", "max_depth=2", "--output", str(output)]
    type_in(monkeypatch, trained_config, *words)
    assert read_record(output)["settings"] == {"n_estimators": 20, "max_depth": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "nonsense=1"], "gradient_boosting in config.yaml, or --set: .*'nonsense'"),
        (["--set", "max_iter=-1"], "gradient_boosting can't be trained: The 'max_iter' parameter"),
        (["--set", "max_iter=-1", "--tune", "1"], "can't be trained on a fold: The 'max_iter'"),
        (["--set", "max_depth"], "--set max_depth: write it as in --set max_depth=6"),
        (["--set", "=6"], "--set =6: write it as in"),
        (["--set", "a=[1"], r"--set a=\[1: write it as in"),
        (["--set", "a=1", "--model", "all"], "--set is for one model; name it by --model"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler is for --tune"),
        (["--tune", "-3"], "--tune needs a number of settings to try"),
        (["--model", "bare", "--tune", "3"], "bare has no settings to try"),
        (["--output", "model.pkl"], r"model\.pkl: a model file's name must end in \.onnx"),
        (["--data", "none.parquet"], r"no processed table at none\.parquet; run: uv run pipeline"),
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
    bare = LINEAR(LabelPropagation)
    monkeypatch.setitem(MODELS["classification"], "bare", bare)
    with pytest.raises(SystemExit) as stop, joblib.parallel_config(backend="threading"):
        type_in(monkeypatch, trained_config, *words)
    assert stop.value.code == 2
    assert re.fullmatch(f"error: .*{message}.*\n", capsys.readouterr().err)


def test_processed_data_that_cannot_be_read_is_refused(config: Config) -> None:
    path, table = config.paths.processed, read_table(config)
    read = partial(train.read_processed, table=table, config=config.training)
    with pytest.raises(UserError, match=r"no processed table .*; run: uv run pipeline\.py"):
        read(path)
    path.parent.mkdir(parents=True)
    path.write_text("id,outcome\n", encoding="utf-8")
    for broken in (path, path.parent):
        with pytest.raises(UserError, match="is not Parquet"):
            read(broken)
    pd.DataFrame({"x": [1.0]}).to_parquet(path)
    with pytest.raises(UserError, match="has no column 'Total Charges'; run again"):
        read(path)


# --- searching for better settings ---


@pytest.fixture
def quick_boosting(table_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have gradient boosting search with as few trees as it has."""
    models = MODELS[read_table(table_config).task]
    recipe = models["gradient_boosting"]
    space = {name: values for name, values in recipe.space.items() if name != "max_iter"}
    monkeypatch.setitem(models, "gradient_boosting", recipe._replace(space=space))


def search(config: Config, model: str, count: int, backend: str = "threading") -> tuple[Any, Any]:
    """Search; return the settings, and how good they were."""
    prepared, metric = prepare_table(config)
    with joblib.parallel_config(backend=backend), limit_threads(1):
        changed, tuning = train.search(prepared, model, metric, config.training, count)
    return changed.settings[model], tuning


def test_tuned_settings_are_never_worse_than_those_there_were(
    table_config: Config, quick_boosting: None
) -> None:
    task = read_table(table_config).task
    metric = find_metric(None, task)
    for model in MODELS[task]:
        _, tuning = search(table_config, model, 2)
        assert merit(tuning["score"], metric) >= merit(tuning["untuned"], metric), model


def test_settings_stay_where_all_others_are_worse(
    table_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, space = read_table(table_config).task, {"min_samples_leaf": [400, 500]}
    recipe = MODELS[task]["random_forest"]._replace(space=space)
    monkeypatch.setitem(MODELS[task], "random_forest", recipe)
    settings, tuning = search(table_config, "random_forest", 2)
    assert settings == {"n_estimators": 5}
    assert tuning["score"] == tuning["untuned"]


def test_a_search_gives_the_same_twice_on_threads_and_on_processes(
    table_config: Config, quick_boosting: None
) -> None:
    model = "gradient_boosting"
    found = [search(table_config, model, 3, how) for how in ("threading", "threading", "loky")]
    assert found[0] == found[1] == found[2]
    assert set(found[0][0]) > {"max_iter"}  # others than there were
    assert json.loads(json.dumps(found[0][0])) == found[0][0]


@pytest.mark.parametrize(
    ("candidates", "rows", "rounds"),
    [(1, 10**6, 1), (30, 5000, 1), (2, 10**6, 1), (3, 6000, 2), (30, 60_000, 4), (30, 10**6, 4)],
)
def test_few_rows_and_few_settings_have_few_rounds(candidates: int, rows: int, rounds: int) -> None:
    assert selection.count_rounds(candidates, rows) == rounds


def test_rounds_have_ever_fewer_settings_and_more_rows(
    table_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = []

    def spy(fold: Split, target: NDArray[Any], share: float, *more: Any) -> Split:
        drawn.append(share)
        return draw_part(fold, target, share, *more)

    draw_part = selection.draw_part
    monkeypatch.setattr(selection, "draw_part", spy)
    monkeypatch.setattr(selection, "FEWEST_ROWS", 20)
    model = next(iter(MODELS[read_table(table_config).task]))
    with caplog.at_level("INFO"):
        search(table_config, model, 9)
    told = re.findall(r"round (\d) of 3, (\d+) settings: the best", caplog.text)
    assert [number for number, _ in told] == ["1", "2", "3"]
    first, second, third = (int(size) for _, size in told)
    assert first == 10
    assert second in (3, 4)  # the best three, and the settings there were
    assert third in (1, 2)
    assert drawn == [*[1 / 9] * 5, *[1 / 3] * 5, *[1] * 5]


def test_a_part_of_a_fold_keeps_the_classes_and_its_test() -> None:
    target = np.repeat([0, 1], [900, 100])
    fold = Split(np.arange(1000)[::2], np.arange(1000)[1::2])
    part = selection.draw_part(fold, target, 0.2, 2, 0)
    assert np.bincount(target[part.train]).tolist() == [90, 10]
    assert set(part.train) < set(fold.train)
    assert part.test is fold.test
    assert selection.draw_part(fold, target, 1, 2, 0) is fold


# --- description ---


def draw_rows(rows: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw outputs that are right in three of four rows, in the long run."""
    draw = np.random.default_rng(seed)
    score = draw.random(rows)
    target = (draw.random(rows) < score).astype(int)
    return target, np.column_stack([1 - score, score])


def test_the_interval_holds_the_true_value_as_often_as_it_should() -> None:
    ends = [estimate_intervals(*draw_rows(400, seed), seed)["accuracy"] for seed in range(60)]
    held = np.mean([low <= 0.75 <= high for low, high in ends])
    assert held >= 0.85
    widths = [high - low for low, high in ends]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * (0.75 * 0.25 / 400) ** 0.5, rel=0.1)


def test_the_interval_shrinks_with_the_rows_and_is_the_same_for_a_seed() -> None:
    widths = []
    for rows in (500, 2000, 8000):
        target, outputs = draw_rows(rows)
        found = estimate_intervals(target, outputs, 1)
        assert found == estimate_intervals(target, outputs, 1)
        assert found != estimate_intervals(target, outputs, 2)
        metrics = evaluate(target, outputs)
        assert all(low < metrics[name] < high for name, (low, high) in found.items())
        widths.append(np.subtract(*found["roc_auc"]))
    assert np.divide(widths[:-1], widths[1:]) == pytest.approx(2, rel=0.25)


def test_slices_have_the_worst_first_and_no_small_ones() -> None:
    target, outputs = draw_rows(1000)
    place = np.arange(1000)
    bad = place % 4 == 0
    outputs[bad] = outputs[bad][:, ::-1]
    quarter = pd.Series(place % 4).map({0: "bad", 1: "fine", 2: "good", 3: None})
    many = pd.Series(place % 30).astype("str")
    small = pd.Series(np.where(place < 25, "few", "all the others"))
    frame = pd.DataFrame({"quarter": quarter, "many": many, "small": small})
    found = evaluate_slices(frame, target, outputs, "accuracy")
    assert sorted(each["value"] for each in found[1:]) == [
        *("all the others", "fine", "good", "missing"),
    ]
    assert found[0] == {"column": "quarter", "value": "bad", "rows": 250} | {
        "score": evaluate(target[bad], outputs[bad])["accuracy"]
    }
    scores = [each["score"] for each in evaluate_slices(frame, target, outputs, "log_loss")]
    assert scores == sorted(scores, reverse=True)


def test_slices_are_of_the_columns_named_or_of_all_categories(table_config: Config) -> None:
    trained, training = train_model(table_config, "random_forest"), table_config.training
    _, answer = convert_to_onnx(trained)
    metric = find_metric(None, trained.table.task)
    both = ["colour", "noise"]
    for named, columns in ((None, {"colour"}), (["noise"], set()), (both, {"colour"})):
        changed = training.model_copy(update={"slices": named})
        found = describe(trained, answer, metric, changed, "")["slices"]
        assert {each["column"] for each in found} == columns


def test_the_feature_that_matters_comes_first_and_noise_is_about_nothing(
    table_config: Config,
) -> None:
    trained = train_model(table_config, "random_forest")
    _, answer = convert_to_onnx(trained)
    metric = find_metric(None, trained.table.task)
    test, names = trained.split.test, feature_names(trained.table.features)
    held_out = trained.features[test], trained.target[test]
    found = rank_features(trained.pipeline, answer, *held_out, names, metric, 0)
    losses = {each["feature"]: each["loss"] for each in found}
    assert found[0]["feature"] == "matters"
    assert list(losses.values()) == sorted(losses.values(), reverse=True)
    assert losses["matters"] > 0.3
    assert abs(losses["noise"]) < 0.06
    assert abs(losses["colour"]) < 0.06


FACTS: dict[str, Any] = {
    "metric": "roc_auc",
    "classes": {"lost": 0.7, "won": 0.3},
    "test_rows": 200,
    "intervals": {"roc_auc": [0.8, 0.9]},
    "baseline": {"roc_auc": 0.5, "log_loss": 0.6},
    "metrics": {"roc_auc": 0.85, "log_loss": 0.4},
}


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"classes": {"lost": 0.95, "won": 0.05}}, "^Only 5.00% of the rows are won: read "),
        ({"test_rows": 199}, "^The test has only 199 rows: trust the intervals.$"),
        ({"intervals": {"roc_auc": [0.49, 0.9]}}, "^By roc_auc the model can't be told from"),
        ({"metrics": {"log_loss": 0.7}}, "^Its probabilities are worse than .*log_loss 0.7, 0.6"),
    ],
)
def test_what_one_should_know_is_noted(changed: dict[str, Any], note: str) -> None:
    assert list_notes(FACTS) == []
    (found,) = list_notes(FACTS | changed)
    assert re.search(note, found)


def test_few_rows_rare_classes_and_no_better_than_a_guess_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_table(tmp_path / "rare", "classes", 300, share=0.05, told=0)
    output = config.paths.model
    train.run(config.paths.processed, "random_forest", output, config)
    notes = read_record(output)["notes"]
    for start in ("Only 5.00% of the rows are won", "The test has only 60 rows", "By roc_auc the"):
        assert [note.startswith(start) for note in notes].count(True) == 1, notes
        assert start in caplog.text
    assert load_model(output).about["notes"] == notes


# --- saving ---


@CLASSES_ONLY
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
        train.run(trained_config.paths.processed, "special", output, trained_config)
    assert output.read_bytes() == b"the model before"


def test_another_suffix_is_refused(trained_config: Config) -> None:
    trained, output = train_model(trained_config), trained_config.root / "model.pkl"
    with pytest.raises(UserError, match=r"must end in \.onnx$"):
        save_model(output, trained, convert_to_onnx(trained)[0], {}, {})
    assert not output.exists()


def test_compare_is_absolute_for_probabilities_and_relative_for_numbers() -> None:
    assert compare(np.array([[0.5, 0.5]]), np.array([[0.4, 0.6]])) == pytest.approx(0.1)
    assert compare(np.array([1000.0]), np.array([1001.0])) == pytest.approx(0.001)


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
    assert record["metrics"].keys() == record["baseline"].keys() == record["intervals"].keys()
    assert TypeAdapter(Table).validate_python(record["table"]) == read_table(trained_config)
    assert {"python", "scikit-learn", "onnxruntime"} <= record["versions"].keys()
    assert 0 < record["seconds"] < 600


def test_the_card_stands_beside_and_holds_the_metrics(trained_config: Config) -> None:
    record = read_record(trained_config.paths.model)
    page = (trained_config.root / "reports" / "model_card.html").read_text(encoding="utf-8")
    for name, value in record["metrics"].items():
        assert show_number(value) in page, name
        assert show_number(record["baseline"][name], value) in page, name


def test_the_same_training_gives_the_same_file(trained_config: Config, tmp_path: Path) -> None:
    data, output = trained_config.paths.processed, tmp_path / "elsewhere" / "again.onnx"
    train.run(data, "gradient_boosting", output, trained_config)
    assert output.read_bytes() == trained_config.paths.model.read_bytes()
    content = output.read_bytes()
    record = read_record(output)
    for secret in (record["trained"][:10], output.stem, data.name, trained_config.root.name):
        assert secret.encode() not in content, secret


TRAIN_EVERYTHING = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
from pathlib import Path
from conftest import read_config, read_table, save_trained, train_model
from {{ cookiecutter.project_slug }}.model_training import MODELS
for target in ("classes", "numbers"):
    config = read_config(Path(sys.argv[1], target))
    for model in MODELS[read_table(config).task]:
        output = Path(sys.argv[1], sys.argv[2], f"{target} {model}.onnx")
        save_trained(output, train_model(config, model), config)
"""


def test_one_core_and_two_give_the_same_files(tmp_path: Path) -> None:
    for target in ("classes", "numbers"):
        make_table(tmp_path / target, target, 21_000)  # threads are used from 20,000
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("OMP_NUM_THREADS", None)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN_EVERYTHING, str(tmp_path), cores],
            env=environment | {"PYTHONHASHSEED": cores},
        )
        for cores in ("1", "2")
    ]
    assert [process.wait() for process in started] == [0, 0]
    files = {cores: sorted((tmp_path / cores).glob("*.onnx")) for cores in ("1", "2")}
    assert len(files["1"]) == sum(map(len, MODELS.values()))
    for one, two in zip(files["1"], files["2"], strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


# --- history ---


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_commit_is_recorded_and_whether_files_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert read_commit(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert read_commit(tmp_path) is None
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--no-verify", "--message", "Begin")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert read_commit(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "code.py").write_text("x = 2\n", encoding="utf-8")
    assert read_commit(tmp_path) == {"commit": commit, "dirty": True}
    monkeypatch.setenv("PATH", str(tmp_path))  # git is not installed
    assert read_commit(tmp_path) is None


def test_each_training_is_a_line_and_list_shows_them(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    task, folder = read_table(trained_config).task, tmp_path / "modèles"
    names = list(MODELS[task])
    for name in names:
        save_trained(folder / f"{name}.onnx", train_model(trained_config, name), trained_config)
    history = folder / HISTORY
    with history.open("ab") as file:
        file.write('{"trained": "2026", "file": "modè'.encode()[:-1])  # cut off in a letter
    again = train_model(trained_config, names[0])
    save_trained(folder / "again.onnx", again, trained_config)

    type_in(monkeypatch, trained_config, "--list", "--output", str(folder / "model.onnx"))
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["trained", "model", "metric", "test", "95"]
    metric = find_metric(None, task)
    assert [line.split()[2:4] for line in lines] == [[name, metric] for name in [*names, names[0]]]
    low, high = read_record(folder / "again.onnx")["intervals"][metric]
    for word in (f"{again.metrics[metric]:.4g}", f"{low:.4g} to {high:.4g}", " 300 ", "again.onnx"):
        assert word in lines[-1]
    assert f"{history}: line {len(names) + 1} is no record of a training" in caplog.text


def test_an_undefined_metric_is_in_the_history_too(trained_config: Config, tmp_path: Path) -> None:
    save_trained(tmp_path / "model.onnx", train_model(trained_config), trained_config)
    history = tmp_path / HISTORY
    record = json.loads(history.read_text(encoding="utf-8"))
    for part in ("metrics", "baseline"):
        record[part][record["metric"]] = None
    record["intervals"][record["metric"]] = [None, None]
    history.write_text(json.dumps(record), encoding="utf-8")
    assert "not defined" in show_history(tmp_path)


def test_without_a_training_the_list_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^nothing has been trained into .*; run: uv run train$"):
        show_history(tmp_path)
