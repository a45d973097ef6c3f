"""Models as files: promotion night after night, the archive, drift, and the same on any cores."""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pipeline
import pytest
from conftest import make_lines, make_project, write_raw
from customer_churn.config import TrainingConfig
from customer_churn.drift import DriftMonitor, log_drift
from customer_churn.evaluation import list_metrics
from customer_churn.feature_engineering import FEATURES, Feature
from customer_churn.model_training import MODELS, make_dataset
from customer_churn.prediction import load_model
from customer_churn.schema import Column, Spelling, Table
from customer_churn.service.model_file import log_predictions
from customer_churn.tools import drift
from customer_churn.training import promotion, train
from customer_churn.training.description import read_commit
from customer_churn.utils import UserError
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.semi_supervised import LabelPropagation
from test_choice_and_search import CONFIG, make_table
from test_training import CLASSES, change_config, read_record, run_train

METRICS = list_metrics(None, "classification", 2)
NIGHTS = 30


def make_night(night, hashed):
    """Make the table of one night: it grows, its target moves, and on one night it is broken."""
    rows = (300 if hashed else 150) + (40 if hashed else 3) * night
    random = np.random.default_rng(0)
    x, z, noise = random.normal(size=(3, 300 + 40 * NIGHTS))[:, :rows]
    drifted = np.arange(rows) > (700 if hashed else 190)  # later rows follow another rule
    y = np.where(drifted, z - x, x) + 0.5 * noise > (0 if hashed else 1.2)
    if night == 20:
        y = np.random.default_rng(night).permutation(y)
    key, number = Column("key", "category"), Column("x", "number")
    other, target = Column("z", "number"), Column("y", "boolean")
    frame = pd.DataFrame({"key": [f"k{n}" for n in range(rows)], "x": x, "z": z})
    frame["y"] = pd.array(y, "boolean")
    columns = (key, number, other, target)
    return frame, Table(columns, (number, other), target, "classification", ("key",))


@pytest.mark.parametrize("hashed", [True, False], ids=["fair", "the served model knows rows"])
def test_thirty_nights(hashed, tmp_path, monkeypatch):
    """A bad night is not served, and the served model never gets old."""
    monkeypatch.setattr(train, "report", lambda about: None)
    monkeypatch.setattr(promotion, "draw_card", lambda *_: "")
    config = make_project(tmp_path)
    few_trees = config.training.with_settings("gradient_boosting", {"max_iter": 30})
    config = config.model_copy(update={"training": few_trees})
    promoted = {}
    for night in range(NIGHTS):
        frame, table = make_night(night, hashed)
        dataset = make_dataset(frame, table, config.training)
        assert dataset.split.is_lasting == hashed
        with train.limit_threads(len(frame)):
            trained = train.train_model(dataset, "gradient_boosting", METRICS, few_trees)
        origin = {"trained": f"2026-11-{night + 1:02}T00:00:00+00:00", "seconds": 0.0}
        record = promotion.save_model(trained, config.paths.model, origin | {"data": {}}, config)
        promoted[night] = record["promotion"]["promoted"]
    assert promoted[0]
    assert not promoted[20]
    nights = [night for night, yes in promoted.items() if yes]
    assert max(np.diff(nights)) <= promotion.MOST_HELD_BACK + 2  # one of them is the bad night
    assert nights[-1] >= NIGHTS - 1 - promotion.MOST_HELD_BACK
    assert len(nights) >= 25


def test_a_model_that_knows_the_test_rows_holds_back_three_and_no_more(tmp_path):
    config, served = TrainingConfig(model="logistic"), tmp_path / "model.onnx"
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "0.onnx").touch()
    record = {"file": {"path": "models/archive/0.onnx"}, "promotion": {"replaced": None}}
    served.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    about = {"metric": "roc_auc", "split": {**SPLIT, "lasting": False}}
    decisions = []
    for number in range(1, 5):
        decisions.append(promotion.hold_back(about, SPLIT, served, config))
        (archive / f"{number}.onnx").touch()
    assert [promoted for promoted, _ in decisions] == [False, False, False, True]
    assert "may have been trained on the test rows" in decisions[0][1]
    fair = {"metric": "roc_auc", "split": SPLIT}
    assert not promotion.hold_back(fair, SPLIT, served, config)[0]


SPLIT = {"column": None, "since": None, "lasting": True}
SPLIT |= {"key": ["id"], "share": 0.2, "seed": 0}


@pytest.mark.parametrize(
    ("served", "new", "fair"),
    [
        ({}, {}, True),
        ({}, {"share": 0.3}, False),
        ({}, {"seed": 1}, False),
        ({}, {"key": []}, False),
        ({}, {"lasting": False}, False),
        ({"lasting": False}, {}, False),
        ({}, {"column": "who"}, False),
        ({"since": "2026-01-01"}, {"since": "2026-01-02"}, True),
        ({"since": "2026-01-02"}, {"since": "2026-01-01"}, False),
    ],
)
def test_a_comparison_is_fair_if_the_served_model_knows_no_test_row(served, new, fair):
    assert promotion.is_fair(SPLIT | new, SPLIT | served) == fair
    assert not promotion.is_fair(SPLIT | new, {})


@pytest.fixture
def fresh(tmp_path):
    """A project with a processed table and one promoted model."""
    config = make_project(tmp_path)
    write_raw(config, make_lines(400))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    config = change_config(config, promote="always", keep_models=2)
    train.run(config.paths.processed, "logistic", config.paths.model, config)
    return config


def train_again(config, number):
    """Train another model and promote it; return its archived file."""
    settings = config.training.with_settings("logistic", {"C": number})
    config = config.model_copy(update={"training": settings})
    record = train.run(config.paths.processed, "logistic", config.paths.model, config)
    return Path(record["file"]["path"])


def test_the_archive_is_bounded_and_survives_deletions(fresh, monkeypatch, capsys):
    archived = [train_again(fresh, 0.1 * number) for number in range(1, 5)]
    folder = archived[0].parent
    assert sorted(folder.glob("*.onnx")) == sorted(archived[-2:])
    assert len(list(folder.iterdir())) == 6  # three files each
    archived[-2].unlink()
    with pytest.raises(SystemExit):
        run_train(monkeypatch, fresh, "--rollback")
    error = capsys.readouterr().err
    assert re.fullmatch("error: there is no earlier model; .*--list\n", error)
    run_train(monkeypatch, fresh, "--list")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.endswith("(deleted)") for line in lines] == [True] * 4 + [False]
    assert load_model(fresh.paths.model).about["settings"] == {"C": 0.4}


def test_a_model_that_cannot_be_served_any_more_is_skipped(fresh):
    first = fresh.paths.model.read_bytes()
    config = change_config(fresh, keep_models=5)
    train_again(config, 2).write_bytes(b"cut")
    train_again(config, 3)
    train.roll_back(config)
    assert config.paths.model.read_bytes() == first


def test_no_rows_have_no_answers(fresh):
    assert load_model(fresh.paths.model).predict([]) == []


def test_another_output_has_its_own_card(fresh):
    card = fresh.root / "reports" / "model_card.html"
    before = card.read_bytes()
    output = fresh.root / "elsewhere" / "model.onnx"
    train.run(fresh.paths.processed, "random_forest", output, fresh)
    assert card.read_bytes() == before
    assert "A random forest model" in output.with_suffix(".html").read_text(encoding="utf-8")


def test_a_feature_that_depends_on_other_rows_is_refused(fresh, monkeypatch):
    def above_mean(charges: float):
        return charges > np.nanmean(charges)

    each = Feature("above_mean", ("Total Charges",), above_mean)
    monkeypatch.setitem(FEATURES, "above_mean", each)
    with pytest.raises(UserError, match="the feature 'above_mean' depends on other rows"):
        train_again(fresh, 1)


def test_a_model_that_overfits_raises_no_alarm_on_its_own_table(fresh):
    settings = fresh.training.with_settings("random_forest", {"n_estimators": 50})
    config = fresh.model_copy(update={"training": settings})
    train.run(config.paths.processed, "random_forest", config.paths.model, config)
    assert max(log_drift(config.paths.model, config.paths.processed, 0.1).values()) < 0.1


def test_a_full_disk_leaves_the_served_model_and_its_files(fresh, monkeypatch):
    served = fresh.paths.model
    files = [served, served.with_suffix(".json"), fresh.root / "reports" / "model_card.html"]
    before = [file.read_bytes() for file in files]
    written = []

    def write_bytes(path, content):
        written.append(path)
        if len(written) == 6:  # the third file of the promotion
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with path.open("wb") as file:
            return file.write(content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(UserError, match="can't write .*: No space left on device"):
        train_again(fresh, 5)
    assert [file.read_bytes() for file in files] == before
    assert not list(fresh.root.rglob("*.tmp"))


def test_a_served_model_that_cannot_be_compared_is_replaced(fresh):
    config = change_config(fresh, promote="if_better")
    config.paths.model.write_bytes(b"of an older version")
    record = train.run(config.paths.processed, "logistic", config.paths.model, config)
    assert record["promotion"]["promoted"]
    assert train.roll_back(config)


def test_never_promoted(fresh):
    before = fresh.paths.model.read_bytes()
    train_again(change_config(fresh, promote="never"), 7)
    assert fresh.paths.model.read_bytes() == before


@CLASSES
@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (LabelPropagation(), "can't be exported"),
        (HistGradientBoostingClassifier(categorical_features=[6]), "answers differently"),
    ],
)
def test_what_onnx_cannot_answer_alike_is_not_saved(trained_config, estimator, reason, monkeypatch):
    prepare, _ = MODELS["classification"]["random_forest"]
    monkeypatch.setitem(MODELS["classification"], "special", (prepare, estimator))
    output = trained_config.root / "special.onnx"
    output.write_bytes(b"the model before")
    with pytest.raises(UserError, match=f"^special .*({reason})"):
        train.run(trained_config.paths.processed, "special", output, trained_config)
    assert output.read_bytes() == b"the model before"


TRAIN_EVERYTHING = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
from pathlib import Path
from customer_churn.evaluation import list_metrics
from customer_churn.model_training import MODELS
from customer_churn.training import train
from test_choice_and_search import CONFIG, make_table
for task in MODELS:
    dataset = make_table(task, 21_000)
    for model in MODELS[task]:
        with train.limit_threads(21_000):
            trained = train.train_model(dataset, model, list_metrics(None, task, 2), CONFIG)
        Path(sys.argv[1], f"{sys.argv[2]} {task} {model}.onnx").write_bytes(trained.content)
"""


def test_one_core_and_two_give_the_same_files(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("OMP_NUM_THREADS", None)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN_EVERYTHING, str(tmp_path), cores],
            env=environment | {"PYTHONHASHSEED": seed},
        )
        for cores, seed in (("1", "1"), ("2", "5"))  # with 5, a set of ONNX domains turns round
    ]
    assert [process.wait() for process in started] == [0, 0]
    ones = sorted(tmp_path.glob("1 *.onnx"))
    assert len(ones) == sum(map(len, MODELS.values()))
    for one in ones:
        assert one.read_bytes() == one.with_name(f"2{one.name[1:]}").read_bytes(), one.name


def git(folder, *words):
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_commit_is_recorded_and_whether_files_were_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert read_commit(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert read_commit(tmp_path) is None
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--no-verify", "--message", "Begin")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert read_commit(tmp_path) == commit
    (tmp_path / "code.py").write_text("x = 2\n", encoding="utf-8")
    assert read_commit(tmp_path) == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))  # git is not installed
    assert read_commit(tmp_path) is None


def test_the_list_survives_a_broken_line_and_an_undefined_metric(fresh):
    history = fresh.paths.model.parent / promotion.HISTORY
    record = json.loads(history.read_text(encoding="utf-8"))
    for part in ("metrics", "baseline"):
        record[part][record["metric"]] = None
    record["intervals"][record["metric"]] = [None, None]
    with history.open("a", encoding="utf-8") as file:
        file.write('{"trained": "2026", "fi\n' + json.dumps(record) + "\n")
    assert promotion.show_history(fresh.paths.model).count("not defined") == 4
    with pytest.raises(UserError, match=r"^nothing has been trained into .*; run: uv run train$"):
        promotion.show_history(fresh.root / "none" / "model.onnx")


# --- drift ---


def test_resampling_the_training_rows_raises_no_alarm(fresh):
    frame, model = pd.read_parquet(fresh.paths.processed), load_model(fresh.paths.model)
    for rows in (40, 400):
        for seed in range(100):
            monitor = DriftMonitor(model)
            monitor.add(frame.sample(rows, replace=True, random_state=seed, ignore_index=True))
            assert monitor.log(0.1) == {}


def test_batches_give_the_same_drift_as_the_whole_table(fresh):
    frame, model = pd.read_parquet(fresh.paths.processed), load_model(fresh.paths.model)
    whole, parts = DriftMonitor(model), DriftMonitor(model)
    whole.add(frame)
    for start in range(0, len(frame), 90):
        parts.add(frame.iloc[start : start + 90])
    parts.add(frame.head(0))
    assert whole.measure() == parts.measure()


def test_without_a_model_that_fits_there_is_no_drift(fresh, tmp_path, caplog):
    data = fresh.paths.processed
    assert log_drift(tmp_path / "none.onnx", data, 0.1) == {}
    frame = pd.read_parquet(data).drop(columns="größe")
    frame.to_parquet(tmp_path / "other.parquet")
    assert log_drift(fresh.paths.model, tmp_path / "other.parquet", 0.1) == {}
    assert "drift is not measured" in caplog.text
    frame.assign(größe=1, member="maybe").to_parquet(tmp_path / "other.parquet")
    assert log_drift(fresh.paths.model, tmp_path / "other.parquet", 0.1) == {}


def test_served_predictions_are_logged_rotated_and_compared(fresh, monkeypatch):
    file, model = fresh.root / "logs" / "predictions.jsonl", load_model(fresh.paths.model)
    frame = pd.read_parquet(fresh.paths.processed)
    names = [column.name for column in model.table.features]
    rows = json.loads(frame[names].to_json(orient="records", date_format="iso"))
    answers = model.predict(rows)
    log_predictions(file, rows, answers, model.sha256)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["features"] for line in lines] == rows
    assert lines[0]["prediction"] == answers[0]["prediction"]
    assert drift.compare(str(file), fresh.paths.model, fresh)
    charges = rows[0]["Total Charges"]
    target = replace(model.table.target, spelling=Spelling(decimal=","))
    read = drift.read_predictions(file, replace(model.table, target=target))
    assert read["Total Charges"][0] == str(charges).replace(".", ",")
    monkeypatch.setattr("customer_churn.service.model_file.LARGEST_LOG", 10)
    for _ in range(8):
        log_predictions(file, rows[:1], answers[:1], model.sha256)
    assert len(list(file.parent.glob("predictions.jsonl*"))) == 6
    with pytest.raises(UserError, match="is not a log of predictions"):
        drift.compare(str(fresh.root / "none.jsonl"), fresh.paths.model, fresh)


def test_a_log_that_cannot_be_written_stops_no_request(tmp_path, caplog):
    (tmp_path / "folder").mkdir()
    log_predictions(tmp_path / "folder", [{}], [{"prediction": 1}], "")
    assert "can't write" in caplog.text


def test_of_a_model_file_the_time_and_the_place_are_not_part(fresh):
    record, content = read_record(fresh.paths.model), fresh.paths.model.read_bytes()
    for secret in (record["trained"][:10], fresh.root.name, fresh.paths.processed.name):
        assert secret.encode() not in content
    again = train.train_model(make_table("classification"), "logistic", METRICS, CONFIG)
    make = partial(train.train_model, make_table("classification"), "logistic", METRICS)
    assert again.content == make(CONFIG).content


def test_a_shift_is_found_and_chance_is_not(trained_config):
    frame = pd.read_parquet(trained_config.paths.processed)
    model = load_model(trained_config.paths.model)

    def find_alarms(**columns):
        rows = frame.sample(2000, replace=True, ignore_index=True, random_state=0)
        monitor = DriftMonitor(model)
        monitor.add(rows.assign(**{name: move(rows) for name, move in columns.items()}))
        return monitor.log(0.1)

    charges, half = "Total Charges", frame["Total Charges"].std() / 2
    assert find_alarms() == {}
    assert charges in find_alarms(**{charges: lambda rows: rows[charges] + half})
    assert "größe" in find_alarms(größe=lambda rows: "Gigantic")
    later = pd.Timedelta(days=900)
    assert "since" not in find_alarms(since=lambda rows: rows["since"] + later)
