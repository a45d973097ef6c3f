"""Predictions of files of any size: in batches, interrupted, of odd texts and labels."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import HEADER, make_lines
from customer_churn.config import Config
from customer_churn.etl import file_prediction, raw_csv
from customer_churn.prediction import Model, load_model, name_label, predict_frame
from customer_churn.utils import UserError
from test_predict import CLASSES, predict, write_csv


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_small_batches_of_many_files_give_the_same_output(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    lines = make_lines(60, "classes")
    lines[:4] = ["x,999,,,,,won", "too,few", "y,999,,,,,won", "z,1,2.5,,,,won"]
    lines[40] = "x,-1,,,,,won"
    file = write_csv(tmp_path / "one.csv", lines)
    whole = predict(trained_config, file, tmp_path / f"a{suffix}")
    monkeypatch.setattr(raw_csv, "BATCH", 100)  # the first batch has only rejected rows
    for number, part in enumerate(np.array_split(lines, 3)):
        write_csv(tmp_path / "three" / f"{number}.csv", list(part))
    parts = predict(trained_config, tmp_path / "three" / "*.csv", tmp_path / f"b{suffix}")
    assert whole["id"].tolist() == [f"k{number}" for number in range(4, 60) if number != 40]
    pd.testing.assert_frame_equal(parts, whole)
    rejected = pd.read_csv(tmp_path / "b.rejected.csv")
    assert list(zip(rejected["source"], rejected["line"], strict=True)) == [
        *(("0.csv", line) for line in (2, 3, 4, 5)),
        ("2.csv", 2),
    ]
    reasons = pd.read_csv(tmp_path / "a.rejected.csv")["reason"]
    assert rejected["reason"].tolist() == reasons.tolist()


@CLASSES
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_leaves_the_old_output_and_nothing_else(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    file, output = write_csv(tmp_path / "raw.csv", make_lines(30)), tmp_path / "out" / "found.csv"
    predict(trained_config, file, output)
    before = {path: path.read_bytes() for path in output.parent.iterdir()}
    calls = 0

    def fail(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise failure
        return predict_frame(model, frame)

    monkeypatch.setattr(raw_csv, "BATCH", 300)
    monkeypatch.setattr(file_prediction, "predict_frame", fail)
    expected = UserError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as error:
        predict(trained_config, file, output)
    assert calls == 2
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == before
    if expected is UserError:
        assert str(error.value).startswith(f"can't write {output}: No space")


@CLASSES
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["lost", "won"], pa.large_string()),
        ([3, 7], pa.int64()),
        ([False, True], pa.bool_()),
        ([0.5, 1.0], pa.float64()),
    ],
)
def test_labels_keep_their_type(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    labels: list[Any],
    dtype: pa.DataType,
) -> None:
    model = replace(load_model(trained_config.paths.model), labels=labels)
    monkeypatch.setattr(file_prediction, "load_model", lambda path: model)
    monkeypatch.setattr(file_prediction, "_load_once", lambda path: model)
    monkeypatch.setattr(raw_csv, "BATCH", 100)
    file = write_csv(tmp_path / "raw.csv", [*["x,999,,,,,won"] * 20, *make_lines(20)])
    found = predict(trained_config, file, tmp_path / "found.parquet")
    types = pq.read_schema(tmp_path / "found.parquet")
    names = [f"probability {name_label(label)}" for label in labels]
    assert types.names == [*HEADER, "prediction", *names]
    assert [types.field(name).type for name in ("id", "class", "prediction", names[0])] == [
        pa.large_string(),
        pa.large_string(),
        dtype,
        pa.float64(),
    ]
    as_text = predict(trained_config, file, tmp_path / "found.csv")
    assert as_text["prediction"].tolist() == found["prediction"].tolist()
    assert set(found["prediction"]) <= set(labels)


@CLASSES
def test_a_feature_that_is_called_prediction_stays(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(trained_config.paths.model)
    features = tuple(
        replace(each, name="prediction" if each.name == "class" else each.name)
        for each in model.table.features
    )
    changed = replace(model, table=replace(model.table, features=features))
    assert file_prediction.name_answers(changed)[0] == "prediction_"
    assert file_prediction.name_answers(model)[0] == "prediction"


TEXTS = ["a", "", " a ", "a,b", 'say "a"', "a\rb", "a\n", "\r\n", ";", "ü\u2028", "'", "\t"]


@CLASSES
def test_text_comes_back_from_csv_as_it_was(trained_config: Config, tmp_path: Path) -> None:
    lines = pd.DataFrame([line.split(",") for line in make_lines(len(TEXTS))], columns=HEADER)
    lines.assign(id=TEXTS).to_parquet(tmp_path / "raw.parquet")
    predict(trained_config, tmp_path / "raw.parquet", tmp_path / "found.csv")
    found = pd.read_csv(tmp_path / "found.csv", dtype="str", keep_default_na=False)
    assert found["id"].tolist() == TEXTS
    assert all(float(each) <= 1 for each in found["probability won"])


@CLASSES
def test_files_may_differ_in_the_columns_that_are_not_needed(
    trained_config: Config, tmp_path: Path
) -> None:
    names = HEADER[1:-1]
    write_csv(tmp_path / "raw/a.csv", ["1,,,,", "900,,,,"], names)
    other = {"prediction": ["old"], "id": ["k1"], **dict.fromkeys(names)}
    pd.DataFrame(other).to_parquet(tmp_path / "raw/b.parquet")
    found = predict(trained_config, tmp_path / "raw/*", tmp_path / "found.csv")
    answers = ["probability lost", "probability won"]
    assert list(found)[:-2] == [*names, "prediction", "id"]
    assert set(list(found)[-2:]) == set(answers)
    assert found["id"].isna().tolist() == [True, False]
    assert set(found["prediction"]) <= {"lost", "won"}
    rejected = pd.read_csv(tmp_path / "found.rejected.csv")
    assert rejected.loc[0, names[0]] == 900


@CLASSES
def test_a_model_of_other_columns_is_refused(trained_config: Config, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", make_lines(5))
    table = trained_config.table.model_copy(update={"exclude": [HEADER[1]]})
    config = trained_config.model_copy(update={"table": table})
    with pytest.raises(UserError, match="was trained with other columns; run: uv run"):
        predict(config, good, tmp_path / "found.csv")


@CLASSES
def test_predictions_may_be_predicted_again(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "raw.csv", make_lines(100))
    first = predict(trained_config, file, tmp_path / "first.csv")
    monkeypatch.setattr(raw_csv, "BATCH", 1000)
    again = predict(trained_config, tmp_path / "first.csv", tmp_path / "again.csv")
    pd.testing.assert_frame_equal(again, first)
