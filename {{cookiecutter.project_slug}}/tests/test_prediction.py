import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import check_answers, rows_of

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_training import read_processed, train
from {{ cookiecutter.project_slug }}.prediction import load_model, name_label
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint


def test_answers_as_scikit_learn_does(trained_config: Config) -> None:
    table = read_table(trained_config)
    frame = read_processed(trained_config.paths.processed, [*table.features, table.target])
    trained = train(frame, table, "gradient_boosting", trained_config.training)
    rows, model = rows_of(frame, table), load_model(trained_config.paths.model)
    answers = model.predict(rows)
    assert answers == [model.predict([row])[0] for row in rows]
    assert model.vocabulary == trained.vocabulary
    check_answers(answers, trained, trained.features)


def test_an_unknown_category_is_answered(trained_config: Config) -> None:
    model = load_model(trained_config.paths.model)
    assert model.predict([{"größe": "Gigantic"}])[0].keys() >= {"prediction"}


@pytest.mark.parametrize(("label", "name"), [("Yes", "Yes"), (1, "1"), (True, "true")])
def test_labels_as_names(label: object, name: str) -> None:
    assert name_label(label) == name


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model at .*model\.onnx; run: uv run train"):
        load_model(tmp_path / "model.onnx")


class Trap:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("content", ["pickle", "half", "empty", "text"])
def test_any_other_file_is_refused_and_nothing_in_it_runs(
    trained_config: Config, tmp_path: Path, content: str
) -> None:
    real = trained_config.paths.model.read_bytes()
    trap = tmp_path / "sprung"
    contents = {
        "pickle": pickle.dumps(Trap(trap)),
        "half": real[: len(real) // 2],
        "empty": b"",
        "text": b"a model",
    }
    file = tmp_path / "model.onnx"
    file.write_bytes(contents[content])
    with pytest.raises(UserError, match=r"can't be served .*; run: uv run train") as error:
        load_model(file)
    assert "\n" not in str(error.value)
    assert not trap.exists()


def test_the_model_file_says_all_by_itself(trained_config: Config, tmp_path: Path) -> None:
    file = tmp_path / "copied.onnx"
    file.write_bytes(trained_config.paths.model.read_bytes())
    model = load_model(file)
    assert model.about["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert model.predict([{}])


def test_serving_imports_neither_pandas_nor_scikit_learn_and_tells_nobody(
    trained_config: Config, tmp_path: Path
) -> None:
    code = (
        "import sys, app;"
        f"client = app.create_app(app.Path({str(trained_config.paths.model)!r})).test_client();"
        "assert client.post('/predict', json={'features': {}}).status_code == 200;"
        "assert not {'pandas', 'sklearn', 'pandera', 'pyarrow', 'scipy'} & set(sys.modules)"
    )
    root = Path(__file__).resolve().parent.parent
    home = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=home,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir()), "onnxruntime keeps a number of this machine"
