"""Predictions of rows, as the service makes them, and of whole files."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HEADER, check_answers, make_lines, rows_of, train, write_raw

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.etl.file_prediction import predict_file
from {{ cookiecutter.project_slug }}.prediction import load_model, name_label
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.training.train import read_processed
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint

CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def test_answers_as_scikit_learn_does(trained_config: Config) -> None:
    table = read_table(trained_config)
    frame = read_processed(
        trained_config.paths.processed, table, trained_config.training
    )
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
    with pytest.raises(
        UserError, match=r"no model at .*model\.onnx; run: uv run train"
    ):
        load_model(tmp_path / "model.onnx")


class Trap:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


@CLASSES
@pytest.mark.parametrize("content", ["pickle", "half", "text"])
def test_any_other_file_is_refused_and_nothing_in_it_runs(
    trained_config: Config, tmp_path: Path, content: str
) -> None:
    real, trap = trained_config.paths.model.read_bytes(), tmp_path / "sprung"
    contents = {
        "pickle": pickle.dumps(Trap(trap)),
        "half": real[: len(real) // 2],
        "text": b"a model",
    }
    file = tmp_path / "model.onnx"
    file.write_bytes(contents[content])
    with pytest.raises(
        UserError, match=r"can't be served .*; run: uv run train"
    ) as error:
        load_model(file)
    assert "\n" not in str(error.value)
    assert not trap.exists()


def test_the_model_file_says_all_by_itself(
    trained_config: Config, tmp_path: Path
) -> None:
    file = tmp_path / "copied.onnx"
    file.write_bytes(trained_config.paths.model.read_bytes())
    model = load_model(file)
    assert model.about["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert model.predict([{}])


# --- of files ---


def predict_to(config: Config, data: str, output: Path) -> pd.DataFrame:
    predict_file(data, output, config.paths.model, config)
    return (
        pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)
    )


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
    if (
        table.task == "regression"
    ):  # pandas below 3.1 reads the last digit of a CSV otherwise
        assert found["prediction"].tolist() == pytest.approx(predictions, rel=1e-15)
        return
    assert found["prediction"].tolist() == predictions
    for label in model.labels:
        probabilities = [
            answer["probabilities"][name_label(label)] for answer in expected
        ]
        assert found[f"probability {label}"].tolist() == probabilities


@CLASSES
def test_rows_that_do_not_fit_are_kept_beside_and_the_rest_in_order(
    trained_config: Config, tmp_path: Path
) -> None:
    rows = [
        line.rsplit(",", 1)[0] for line in make_lines(3)
    ]  # the target is not known yet
    raw = tmp_path / "new.csv"
    rows.insert(1, rows[0].replace("k0,", "k9,900"))
    raw.write_text(
        "\n".join([",".join(HEADER[:-1]), *rows, "too,few"]), encoding="utf-8"
    )
    found = predict_to(trained_config, str(raw), tmp_path / "found.csv")
    assert found["id"].tolist() == ["k0", "k1", "k2"]
    rejected = pd.read_csv(tmp_path / "found.rejected.csv")
    assert rejected["line"].tolist() == [3, 6]
    assert rejected["reason"].tolist()[1] == "2 fields instead of 6"


@CLASSES
def test_mistakes_are_told_in_one_line(trained_config: Config, tmp_path: Path) -> None:
    data = str(write_raw(trained_config, make_lines(10)))
    with pytest.raises(UserError, match=r"must end in \.csv or \.parquet"):
        predict_to(trained_config, data, tmp_path / "found.xlsx")
    with pytest.raises(UserError, match=r"no model at .*; run: uv run train"):
        predict_file(
            data, tmp_path / "found.csv", tmp_path / "model.onnx", trained_config
        )
    table = trained_config.table.model_copy(update={"exclude": [HEADER[1]]})
    changed = trained_config.model_copy(update={"table": table})
    with pytest.raises(
        UserError, match="was trained with other columns; run: uv run train"
    ):
        predict_to(changed, data, tmp_path / "found.csv")
    assert not list(tmp_path.iterdir())


def write_files(folder: Path, lines: list[str], files: int = 1) -> str:
    """Write lines into several raw files in turn; return the glob that matches them."""
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(lines, files)):
        text = "\n".join([",".join(HEADER), *part, ""])
        (folder / f"{number}.csv").write_text(text, encoding="utf-8")
    return str(folder / "*.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@CLASSES
def test_where_no_row_fits_the_old_output_stays_and_the_reasons_are_told(
    trained_config: Config, tmp_path: Path
) -> None:
    output = tmp_path / "found.csv"
    output.write_text("old", encoding="utf-8")
    data = write_files(tmp_path / "raw", ["x,999,,,,,won", "too,few", "y,999,,,,,won"])
    with pytest.raises(
        UserError, match=r"no row of .* fits, most often Total Charges: fails .*; see"
    ):
        predict_to(trained_config, data, output)
    assert output.read_text(encoding="utf-8") == "old"
    assert len(pd.read_csv(tmp_path / "found.rejected.csv")) == 3


@CLASSES
def test_files_may_differ_in_the_columns_that_are_not_needed(
    trained_config: Config, tmp_path: Path
) -> None:
    names = HEADER[1:-1]
    (tmp_path / "a.csv").write_text(f"{','.join(names)}\n1,,,,\n", encoding="utf-8")
    pd.DataFrame(
        {"prediction": ["old"], "id": ["k1"], **dict.fromkeys(names)}
    ).to_parquet(tmp_path / "b.parquet")
    for output in (tmp_path / "out" / "found.csv", tmp_path / "out" / "found.parquet"):
        found = predict_to(trained_config, str(tmp_path / "[ab].*"), output)
        answers = ["prediction", "probability lost", "probability won"]
        assert list(found) == [*names, "id", *answers]
        assert found["id"].isna().tolist() == [True, False]
        assert set(found["prediction"]) <= {"lost", "won"}
        again = predict_to(trained_config, str(output), tmp_path / "again.parquet")
        assert list(again) == list(found)
        assert again[answers].equals(found[answers])


@CLASSES
def test_a_file_is_not_read_and_written_at_once(
    trained_config: Config, tmp_path: Path
) -> None:
    data = write_files(tmp_path, make_lines(5))
    before = contents(tmp_path)
    for output in (tmp_path / "0.csv", tmp_path / "nowhere" / ".." / "0.csv"):
        with pytest.raises(
            UserError, match=r"would be read and written; choose another --output"
        ):
            predict_to(trained_config, data, output)
    (tmp_path / "0.rejected.csv").write_bytes(before["0.csv"])
    with pytest.raises(UserError, match=r"0\.rejected\.csv would be read and written"):
        predict_to(trained_config, data, tmp_path / "0.parquet")
    (tmp_path / "0.rejected.csv").unlink()
    (tmp_path / "0.csv").write_text(",".join(HEADER), encoding="utf-8")
    with pytest.raises(UserError, match="has a header but no rows"):
        predict_to(trained_config, data, tmp_path / "found.csv")
    assert list(contents(tmp_path)) == ["0.csv"]
