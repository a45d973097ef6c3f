"""What `uv run train` and `uv run drift` leave behind, and what they refuse."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import make_lines, make_project, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.drift import DriftMonitor
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table
from {{ cookiecutter.project_slug }}.tools import drift
from {{ cookiecutter.project_slug }}.training.leaks import check_leaks
from {{ cookiecutter.project_slug }}.training.train import main, run
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def read_record(model):
    return json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))


def change_config(config, **training):
    """Change settings under `training` in a project's config.yaml."""
    file = config.root / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["training"] |= training
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_config(config.root)


def run_train(monkeypatch, config, words=""):
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["train", *words.split()])
    main()


@pytest.fixture
def fresh(tmp_path):
    """A project of the tests' own with a processed table, and nothing trained."""
    config = make_project(tmp_path)
    write_raw(config, make_lines(400))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    return config


def test_the_record_and_the_card_describe_the_model(trained_config):
    path = trained_config.paths.model
    record = read_record(path)
    name = record["metric"]
    value, (low, high) = record["metrics"][name], record["intervals"][name]
    assert record["file"]["sha256"] == fingerprint(path)
    assert record["train_rows"] + record["test_rows"] == record["data"]["rows"] == 300
    assert low <= value <= high
    card = trained_config.root / "reports" / "model_card.html"
    page = card.read_text(encoding="utf-8")
    assert f"<dd>{value:.3f}</dd>" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_same_training_gives_the_same_file(trained_config, tmp_path):
    output = tmp_path / "elsewhere" / "again.onnx"
    run(trained_config.paths.processed, "gradient_boosting", output, trained_config)
    assert output.read_bytes() == trained_config.paths.model.read_bytes()


def test_a_worse_model_is_archived_and_a_promoted_one_can_be_rolled_back(
    fresh, monkeypatch, capsys
):
    served = fresh.paths.model
    run_train(monkeypatch, fresh, "--model logistic")
    first = served.read_bytes()
    worse = "--set max_iter=1 --set min_samples_leaf=150"
    run_train(monkeypatch, fresh, f"--model gradient_boosting {worse}")
    assert served.read_bytes() == first

    change_config(fresh, promote="always")
    run_train(monkeypatch, fresh, "--model gradient_boosting")
    assert read_record(served)["model"] == "gradient_boosting"
    run_train(monkeypatch, fresh, "--rollback")
    assert served.read_bytes() == first
    card = fresh.root / "reports" / "model_card.html"
    assert "A logistic model" in card.read_text(encoding="utf-8")

    capsys.readouterr()
    run_train(monkeypatch, fresh, "--list")
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("served") for line in lines] == [True, False, False]
    with pytest.raises(SystemExit):
        run_train(monkeypatch, fresh, "--rollback")
    assert "there is no earlier model" in capsys.readouterr().err


def test_a_model_that_does_not_beat_the_baseline_is_not_served(fresh):
    frame = pd.read_parquet(fresh.paths.processed)
    outcome = np.random.default_rng(0).choice(["lost", "won"], len(frame))
    frame.assign(outcome=outcome).to_parquet(fresh.paths.processed)
    config = change_config(fresh, test_share=0.6)
    record = run(config.paths.processed, "logistic", config.paths.model, config)
    assert not config.paths.model.exists()
    assert Path(record["file"]["path"]).exists()
    assert "training.promote: always" in record["promotion"]["reason"]


def test_a_threshold_is_chosen_saved_and_used(fresh):
    config = change_config(fresh, threshold={"recall": 0.95}, positive="lost")
    record = run(config.paths.processed, "logistic", config.paths.model, config)
    model = load_model(config.paths.model)
    assert model.threshold == record["threshold"]
    assert record["metrics"]["recall"] > 0.85
    answer, _ = model.predict([model.example, {}])
    flagged = answer["probabilities"]["lost"] >= record["threshold"]
    assert answer["prediction"] == ("lost" if flagged else "won")


@pytest.mark.parametrize(
    ("words", "variable", "message"),
    [
        ("--set max_depth", "", "--set max_depth: write it like --set max_depth=6"),
        ("--set a=1 --model all", "", "--set is for one model"),
        ("--set a=1", "", "gradient_boosting in config.yaml, or --set: .*'a'"),
        ("--model logistik", "", "no model 'logistik' .*nearest is 'logistic'"),
        ("--output m.pkl", "", r"m\.pkl: a model file's name must end in \.onnx"),
        ("--output models/model.onnx", "", r"models/model\.onnx is the served model"),
        ("--data none.parquet", "", r"no processed table at none\.parquet; run:"),
        ("--data config.yaml", "", "config.yaml is not Parquet"),
        ("", 'THRESHOLD={"recal": 0.9}', "THRESHOLD: Extra inputs"),
        ("", "THRESHOLD={}", "one of recall, precision and cost"),
        ("", "GROUP=nobody", "training names 'nobody', but schema.yaml does not"),
    ],
)
@CLASSES
def test_a_mistake_is_one_line_and_leaves_the_served_model(
    trained_config, words, variable, message, monkeypatch, capsys
):
    before = trained_config.paths.model.read_bytes()
    name, _, value = variable.partition("=")
    monkeypatch.setenv(f"TRAINING__{name}", value)
    with pytest.raises(SystemExit) as stop:
        run_train(monkeypatch, trained_config, words)
    assert stop.value.code == 2
    assert re.fullmatch(f"error: .*{message}.*\n", capsys.readouterr().err)
    assert trained_config.paths.model.read_bytes() == before


def test_features_that_give_the_target_away_are_refused_together():
    y = np.arange(300) % 3
    columns = (Column("key", "category"), Column("code", "number"))
    target = Column("y", "category")
    table = Table((*columns, target), columns, target, "classification")
    keys = [f"k{number}" for number in range(300)]
    rows = pd.DataFrame({"key": keys, "code": y * 10.0})
    message = "'key' has .*; 'code' determines .*: key, code$"
    with pytest.raises(UserError, match=message):
        check_leaks(rows, y, table)


def test_a_shift_is_found_and_chance_is_not(trained_config):
    frame = pd.read_parquet(trained_config.paths.processed)
    model = load_model(trained_config.paths.model)

    def find_alarms(**columns):
        rows = frame.sample(2000, replace=True, ignore_index=True, random_state=0)
        monitor = DriftMonitor(model)
        monitor.add(rows.assign(**{name: move(rows) for name, move in columns.items()}))
        return monitor.find_alarms(0.1)

    charges, half = "Total Charges", frame["Total Charges"].std() / 2
    assert find_alarms() == {}
    assert charges in find_alarms(**{charges: lambda rows: rows[charges] + half})
    assert "größe" in find_alarms(größe=lambda rows: "Gigantic")
    later = pd.Timedelta(days=900)
    assert "since" not in find_alarms(since=lambda rows: rows["since"] + later)


@CLASSES
def test_drift_exits_with_1_beyond_the_limit_and_draws_a_page(
    trained_config, monkeypatch
):
    monkeypatch.chdir(trained_config.root)
    monkeypatch.setattr("sys.argv", ["drift"])
    drift.main()
    text = Path("data/raw/table.csv").read_text(encoding="utf-8")
    Path("new.csv").write_text(text.replace("Small", "Large"), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["drift", "--data", "new.csv"])
    with pytest.raises(SystemExit) as stop:
        drift.main()
    assert stop.value.code == 1
    page = Path("reports/drift.html").read_text(encoding="utf-8")
    assert page.index("größe") < page.index("member")
