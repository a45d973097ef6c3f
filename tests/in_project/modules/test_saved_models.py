"""Models as files: what ONNX can't answer alike, the same on any number of cores, history."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import save_trained, train_model
from customer_churn.config import Config
from customer_churn.evaluation import find_metric
from customer_churn.model_training import BOOSTING, LINEAR, MODELS
from customer_churn.schema import read_table
from customer_churn.utils import UserError
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.semi_supervised import LabelPropagation
from test_choice_and_search import make_table
from test_training import CLASSES_ONLY, read_record, type_in
from customer_churn.training import train
from customer_churn.training.description import read_commit
from customer_churn.training.model_saving import HISTORY, compare, convert_to_onnx, save_model, show_history


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
from customer_churn.model_training import MODELS
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
            env=environment | {"PYTHONHASHSEED": seed},
        )
        for cores, seed in (("1", "1"), ("2", "5"))  # with 5, a set of ONNX domains turns round
    ]
    assert [process.wait() for process in started] == [0, 0]
    files = {cores: sorted((tmp_path / cores).glob("*.onnx")) for cores in ("1", "2")}
    assert len(files["1"]) == sum(map(len, MODELS.values()))
    for one, two in zip(files["1"], files["2"], strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


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
