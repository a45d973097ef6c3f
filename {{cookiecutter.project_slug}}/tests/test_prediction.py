import pickle
from pathlib import Path

import pandas as pd
import pytest
from conftest import HEADER, check_answers, make_lines, rows_of, write_raw

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_training import train
from {{ cookiecutter.project_slug }}.prediction import load_model, name_label
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

from batch.file_prediction import predict_file
from training.train import read_processed


def test_answers_as_scikit_learn_does(trained_config: Config) -> None:
    table = read_table(trained_config)
    frame = read_processed(trained_config.paths.processed, table, trained_config.training)
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


def predict_to(config: Config, data: str, output: Path) -> pd.DataFrame:
    predict_file(data, output, config.paths.model, config)
    return pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_answered_as_a_request_is(
    trained_config: Config, tmp_path: Path, suffix: str
) -> None:
    table = read_table(trained_config)
    processed = trained_config.paths.processed
    frame = read_processed(processed, table, trained_config.training)
    model = load_model(trained_config.paths.model)
    expected = model.predict(rows_of(frame, table))

    found = predict_to(trained_config, str(processed), tmp_path / f"found{suffix}")
    assert list(found)[: len(HEADER)] == HEADER
    predictions = [answer["prediction"] for answer in expected]
    if table.task == "regression":
        assert found["prediction"].tolist() == pytest.approx(predictions)
        return
    assert found["prediction"].tolist() == predictions
    for label in model.labels:
        probabilities = [answer["probabilities"][name_label(label)] for answer in expected]
        assert found[f"probability {label}"].tolist() == probabilities


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_rows_that_do_not_fit_are_kept_beside_and_the_rest_in_order(
    trained_config: Config, tmp_path: Path
) -> None:
    rows = [line.rsplit(",", 1)[0] for line in make_lines(3)]  # the target is not known yet
    raw = tmp_path / "new.csv"
    rows.insert(1, rows[0].replace("k0,", "k9,900"))
    raw.write_text("\n".join([",".join(HEADER[:-1]), *rows, "too,few"]), encoding="utf-8")
    found = predict_to(trained_config, str(raw), tmp_path / "found.csv")
    assert found["id"].tolist() == ["k0", "k1", "k2"]
    rejected = pd.read_csv(tmp_path / "found.rejected.csv")
    assert rejected["line"].tolist() == [3, 6]
    assert rejected["reason"].tolist()[1] == "2 fields instead of 6"


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_mistakes_are_told_in_one_line(trained_config: Config, tmp_path: Path) -> None:
    data = str(write_raw(trained_config, make_lines(10)))
    with pytest.raises(UserError, match=r"must end in \.csv or \.parquet"):
        predict_to(trained_config, data, tmp_path / "found.xlsx")
    with pytest.raises(UserError, match=r"no model at .*; run: uv run train"):
        predict_file(data, tmp_path / "found.csv", tmp_path / "model.onnx", trained_config)
    table = trained_config.table.model_copy(update={"exclude": [HEADER[1]]})
    changed = trained_config.model_copy(update={"table": table})
    with pytest.raises(UserError, match="was trained with other columns; run: uv run train"):
        predict_to(changed, data, tmp_path / "found.csv")
    assert not list(tmp_path.iterdir())
