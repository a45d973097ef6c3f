"""What `uv run train` and `uv run drift` leave behind, and what they refuse."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CLASSES

from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.tools import drift
from {{ cookiecutter.project_slug }}.training.train import main, run
from {{ cookiecutter.project_slug }}.utils import fingerprint


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
def copy(tmp_path, empty_figures):
    """Return a function that copies a trained project."""

    def copy_project(config):
        shutil.copytree(config.root, tmp_path, dirs_exist_ok=True)
        return read_config(tmp_path)

    return copy_project


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


@CLASSES
def test_the_same_training_gives_the_same_file(trained_config, copy):
    config = copy(trained_config)
    output = config.root / "elsewhere" / "again.onnx"
    run(config.paths.processed, "gradient_boosting", output, config)
    assert output.read_bytes() == trained_config.paths.model.read_bytes()


@CLASSES
def test_a_worse_model_is_archived_and_a_promoted_one_can_be_rolled_back(
    trained_config, copy, monkeypatch, capsys
):
    config = copy(trained_config)
    served = config.paths.model
    first = served.read_bytes()
    worse = "--set max_iter=1 --set min_samples_leaf=150"
    run_train(monkeypatch, config, f"--model gradient_boosting {worse}")
    assert served.read_bytes() == first

    change_config(config, promote="always")
    run_train(monkeypatch, config, "--model logistic")
    assert read_record(served)["model"] == "logistic"
    run_train(monkeypatch, config, "--rollback")
    assert served.read_bytes() == first
    card = config.root / "reports" / "model_card.html"
    assert "A gradient boosting model" in card.read_text(encoding="utf-8")

    capsys.readouterr()
    run_train(monkeypatch, config, "--list")
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("served") for line in lines] == [True, False, False]
    with pytest.raises(SystemExit):
        run_train(monkeypatch, config, "--rollback")
    assert "there is no earlier model" in capsys.readouterr().err


@CLASSES
def test_a_model_that_does_not_beat_the_baseline_is_not_served(trained_config, copy):
    config = change_config(copy(trained_config), test_share=0.6)
    config.paths.model.unlink()
    frame = pd.read_parquet(config.paths.processed)
    outcome = np.random.default_rng(0).choice(["lost", "won"], len(frame))
    frame.assign(outcome=outcome).to_parquet(config.paths.processed)
    record = run(config.paths.processed, "logistic", config.paths.model, config)
    assert not config.paths.model.exists()
    assert Path(record["file"]["path"]).exists()
    assert "training.promote: always" in record["promotion"]["reason"]


@CLASSES
def test_a_threshold_is_chosen_saved_and_used(trained_config, copy):
    threshold = {"threshold": {"recall": 0.95}, "positive": "lost"}
    config = change_config(copy(trained_config), **threshold, promote="always")
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


@CLASSES
def test_drift_exits_with_1_beyond_the_limit_and_draws_a_page(
    trained_config, monkeypatch, empty_figures
):
    monkeypatch.chdir(trained_config.root)
    text = Path("data/raw/table.csv").read_text(encoding="utf-8")
    Path("new.csv").write_text(text.replace("Small", "Large"), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["drift"])
    drift.main()
    monkeypatch.setattr("sys.argv", ["drift", "--data", "new.csv"])
    with pytest.raises(SystemExit) as stop:
        drift.main()
    assert stop.value.code == 1
    page = Path("reports/drift.html").read_text(encoding="utf-8")
    assert page.index("größe") < page.index("member")
