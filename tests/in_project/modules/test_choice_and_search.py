"""What `uv run train` compares, searches and tells, on a table of which the truth is known."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from customer_churn.training import model_selection as selection
import yaml
from conftest import make_project, train_model
from customer_churn.config import Config, read_config
from customer_churn.evaluation import (
    estimate_intervals,
    evaluate,
    evaluate_slices,
    find_metric,
    merit,
    rank_features,
)
from customer_churn.feature_engineering import feature_names
from customer_churn.model_training import FOREST, LINEAR, MODELS, Prepared, Split, limit_threads
from customer_churn.prediction import load_model
from customer_churn.schema import read_table
from customer_churn.utils import UserError
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.semi_supervised import LabelPropagation
from test_training import CLASSES_ONLY, read_record, score_of, type_in
from customer_churn.training import train
from customer_churn.training.description import describe, list_notes
from customer_churn.training.model_saving import convert_to_onnx
from customer_churn.training.preparation import prepare


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


@pytest.fixture(scope="module", params=["classes", "numbers"])
def table_config(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Config:
    """A project with a small processed table, nothing trained."""
    return make_table(tmp_path_factory.mktemp("table"), request.param, 600)


# --- choosing among all models ---


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


def test_a_column_without_a_value_in_some_fold_is_no_obstacle(table_config: Config) -> None:
    prepared, metric = prepare_table(table_config)
    prepared.features[:, 1] = np.nan
    prepared.features[prepared.split.train[0], 1] = 1
    choice, _ = train.choose(prepared, "all", metric, table_config.training)
    with joblib.parallel_config(backend="threading"):
        train.search(prepared, choice, metric, table_config.training, 1)


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
