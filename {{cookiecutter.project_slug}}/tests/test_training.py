"""What `uv run train` and `uv run drift` leave behind, and what they refuse."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import make_lines, make_project, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.drift import DriftMonitor, calculate_psi
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table
from {{ cookiecutter.project_slug }}.tools import drift
from {{ cookiecutter.project_slug }}.training.leaks import check_leaks
from {{ cookiecutter.project_slug }}.training.train import main, run
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def read_record(model: Path) -> dict[str, Any]:
    return json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))


def change_config(config: Config, **training: Any) -> Config:
    """Change settings under `training` in a project's config.yaml."""
    file = config.root / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["training"] |= training
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_config(config.root)


def run_train(monkeypatch: pytest.MonkeyPatch, config: Config, *words: str) -> None:
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["train", *words])
    main()


@pytest.fixture
def fresh(tmp_path: Path) -> Config:
    """A project of the tests' own with a processed table, and nothing trained."""
    config = make_project(tmp_path)
    write_raw(config, make_lines(400))
    pipeline.run(config.paths.raw, config.paths.processed, config)
    return config


def test_the_record_describes_the_model(trained_config: Config) -> None:
    path = trained_config.paths.model
    record = read_record(path)
    assert record["file"]["sha256"] == fingerprint(path)
    assert record["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert record["config"] == fingerprint(trained_config.root / "config.yaml")
    assert record["train_rows"] + record["test_rows"] == record["data"]["rows"] == 300
    low, high = record["intervals"][record["metric"]]
    assert low <= record["metrics"][record["metric"]] <= high
    assert record["metrics"].keys() == record["baseline"].keys()
    assert {"python", "scikit-learn", "onnxruntime"} <= record["versions"].keys()


def test_the_card_shows_the_metrics_and_what_people_wrote(fresh: Config) -> None:
    text = fresh.root / "docs" / "model-card.md"
    text.parent.mkdir()
    text.write_text(
        "# Card\n\n## Intended use\n\nCall <b>them</b>.\n", encoding="utf-8"
    )
    run(fresh.paths.processed, "logistic", fresh.paths.model, fresh)
    page = (fresh.root / "reports" / "model_card.html").read_text(encoding="utf-8")
    record = read_record(fresh.paths.model)
    assert "<h2>Intended use</h2><p>Call &lt;b&gt;them&lt;/b&gt;.</p>" in page
    assert f"<dd>{record['metrics']['roc_auc']:.3f}</dd>" in page
    for heading in ("Confusion matrix", "Calibration", "Feature importance", "Limits"):
        assert heading in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_same_training_gives_the_same_file(
    trained_config: Config, tmp_path: Path
) -> None:
    output = tmp_path / "elsewhere" / "again.onnx"
    run(trained_config.paths.processed, "gradient_boosting", output, trained_config)
    assert output.read_bytes() == trained_config.paths.model.read_bytes()


def test_a_worse_model_is_archived_and_a_promoted_one_can_be_rolled_back(
    fresh: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = fresh.paths.model
    run_train(monkeypatch, fresh, "--model", "logistic")
    first = served.read_bytes()
    run_train(
        *(monkeypatch, fresh, "--model", "gradient_boosting"),
        *("--set", "max_iter=1", "--set", "min_samples_leaf=150"),
    )
    assert served.read_bytes() == first
    run_train(monkeypatch, fresh, "--model", "random_forest", "--output", "other.onnx")
    assert served.read_bytes() == first

    change_config(fresh, promote="always")
    run_train(monkeypatch, fresh, "--model", "gradient_boosting")
    assert served.read_bytes() != first
    card = fresh.root / "reports" / "model_card.html"
    assert "gradient boosting" in card.read_text(encoding="utf-8")
    run_train(monkeypatch, fresh, "--rollback")
    assert served.read_bytes() == first
    assert read_record(served)["model"] == "logistic"
    assert "A logistic model" in card.read_text(encoding="utf-8")

    capsys.readouterr()
    run_train(monkeypatch, fresh, "--list")
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("served") for line in lines] == [True, False, False]
    with pytest.raises(SystemExit):
        run_train(monkeypatch, fresh, "--rollback")
    assert "there is no earlier model" in capsys.readouterr().err


def test_a_model_that_does_not_beat_the_baseline_is_not_served(fresh: Config) -> None:
    frame = pd.read_parquet(fresh.paths.processed)
    outcome = np.random.default_rng(0).choice(["lost", "won"], len(frame))
    frame.assign(outcome=outcome).to_parquet(fresh.paths.processed)
    config = change_config(fresh, test_share=0.6)
    record = run(config.paths.processed, "logistic", config.paths.model, config)
    assert not config.paths.model.exists()
    assert Path(record["file"]["path"]).exists()
    reason = record["promotion"]["reason"]
    assert "not clearly better than the baseline" in reason
    assert reason.endswith("set training.promote: always in config.yaml")


def test_a_threshold_is_chosen_saved_and_used(fresh: Config) -> None:
    config = change_config(fresh, threshold={"recall": 0.95}, positive="lost")
    record = run(config.paths.processed, "logistic", config.paths.model, config)
    model = load_model(config.paths.model)
    assert record["labels"] == ["won", "lost"]
    assert model.threshold == record["threshold"]
    assert 0 < record["threshold"] < 0.5
    assert record["metrics"]["recall"] > 0.85
    for answer in model.predict([model.example, {}]):
        flagged = answer["probabilities"]["lost"] >= record["threshold"]
        assert answer["prediction"] == ("lost" if flagged else "won")


@pytest.mark.parametrize(
    ("words", "training", "message"),
    [
        (
            ["--set", "max_depth"],
            {},
            "--set max_depth: write it like --set max_depth=6",
        ),
        (["--set", "a=1", "--model", "all"], {}, "--set is for one model"),
        (["--set", "a=1"], {}, "gradient_boosting in config.yaml, or --set: .*'a'"),
        (["--model", "logistik"], {}, "no model 'logistik' .*nearest is 'logistic'"),
        (["--output", "m.pkl"], {}, r"m\.pkl: a model file's name must end in \.onnx"),
        (
            ["--output", "models/model.onnx"],
            {},
            r"models/model\.onnx is the served model",
        ),
        (["--data", "none.parquet"], {}, r"no processed table at none\.parquet; run:"),
        (["--data", "config.yaml"], {}, "config.yaml is not Parquet"),
        ([], {"threshold": {"recal": 0.9}}, "training.threshold.recal: Extra inputs"),
        (
            [],
            {"threshold": {}},
            "training.threshold: .*one of recall, precision and cost",
        ),
        ([], {"group": "nobody"}, "training.group: schema.yaml has no column 'nobody'"),
        (["--rollback"], {}, "there is no earlier model in models"),
    ],
)
@CLASSES
def test_a_mistake_is_one_line_and_leaves_the_served_model(
    *,
    trained_config: Config,
    words: list[str],
    training: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, served = trained_config.root / "config.yaml", trained_config.paths.model
    text, before = file.read_text(encoding="utf-8"), served.read_bytes()
    content = yaml.safe_load(text)
    content["training"] |= training
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        run_train(monkeypatch, trained_config, *words)
    file.write_text(text, encoding="utf-8")
    assert stop.value.code == 2
    assert re.fullmatch(f"error: .*{message}.*\n", capsys.readouterr().err)
    assert served.read_bytes() == before


def test_features_that_give_the_target_away_are_refused_together() -> None:
    y = np.arange(300) % 3
    columns = [
        Column("key", "category"),
        Column("code", "number"),
        Column("x", "number"),
    ]
    target = Column("y", "category")
    table = Table((*columns, target), tuple(columns), target, "classification")
    x = np.random.default_rng(0).normal(size=300)
    rows = pd.DataFrame(
        {"key": [f"k{n}" for n in range(300)], "code": y * 10.0, "x": x}
    )
    with pytest.raises(
        UserError, match=r"'key' has .*; 'code' determines .*: key, code$"
    ):
        check_leaks(rows, y, table)
    check_leaks(rows.assign(key="a", code=np.where(x > 2, 0, y * 10.0)), y, table)


def test_a_shift_is_found_and_chance_is_not(trained_config: Config) -> None:
    frame = pd.read_parquet(trained_config.paths.processed)
    model = load_model(trained_config.paths.model)

    def measure(rows: pd.DataFrame) -> dict[str, float]:
        monitor = DriftMonitor(model)
        monitor.add(rows)
        return monitor.find_alarms(0.1)

    for seed in range(30):
        assert (
            measure(
                frame.sample(frac=1, replace=True, ignore_index=True, random_state=seed)
            )
            == {}
        )
    many = frame.sample(2000, replace=True, ignore_index=True, random_state=0)
    charges = many["Total Charges"]
    shifted = many.assign(**{"Total Charges": charges + charges.std() / 2})
    assert "Total Charges" in measure(shifted)
    assert "größe" in measure(many.assign(**{"größe": "Gigantic"}))
    assert "member" in measure(many.assign(member=pd.array([None] * 2000, "boolean")))
    later = many.assign(since=many["since"] + pd.Timedelta(days=900))
    assert "since" not in measure(later)
    assert calculate_psi([500, 500], [700, 300]) == pytest.approx(0.148, abs=0.002)


@CLASSES
def test_drift_exits_with_1_beyond_the_limit_and_draws_a_page(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    monkeypatch.setattr("sys.argv", ["drift"])
    drift.main()
    header, *lines = Path("data/raw/table.csv").read_text(encoding="utf-8").splitlines()
    moved = [line.replace("Small", "Large") for line in lines]
    file = tmp_path / "new.csv"
    file.write_text("\n".join([header, *moved]), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["drift", "--data", str(file)])
    with pytest.raises(SystemExit) as stop:
        drift.main()
    assert stop.value.code == 1
    page = Path("reports/drift.html").read_text(encoding="utf-8")
    assert page.index("größe") < page.index("member")
    output = tmp_path / "out.parquet"
    record: Any = pipeline.run("data/raw/*.csv", output, trained_config)
    assert record["drift"].keys() >= {"prediction", "größe", "since"}
