"""Predictions of files of any size: in batches, on threads, interrupted, of odd cells."""

import errno
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from customer_churn.etl import file_prediction, raw_csv
from customer_churn.etl.file_prediction import format_csv
from customer_churn.etl.raw_data import RawData, read_batches
from conftest import HEADER, make_lines
from customer_churn import prediction
from customer_churn.config import Config, ServingConfig
from customer_churn.feature_engineering import build_features, values_of_frame
from customer_churn.prediction import DIGITS, Model, load_model, name_label, predict_frame
from customer_churn.utils import UserError
from customer_churn.service.request_validation import InvalidRequest, RequestReader
from test_prediction import CLASSES, contents, predict_to, write_files


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


def test_many_threads_answer_as_one_does(
    trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(trained_config.paths.model)
    frame = pd.read_parquet(trained_config.paths.processed)
    columns = model.table.features
    features = build_features(values_of_frame(frame, columns), columns, model.vocabulary)
    expected = model.outputs(features).astype(float)
    monkeypatch.setattr(prediction, "SLICE_ROWS", 7)
    found = predict_frame(model, frame)
    if model.table.task == "regression":
        assert found["prediction"].tolist() == expected.tolist()
    else:
        shares = found.drop(columns="prediction").to_numpy()
        np.testing.assert_array_equal(shares, expected.round(DIGITS), strict=True)
    assert predict_frame(model, frame[:0]).columns.equals(found.columns)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_small_batches_of_many_files_give_the_same_output(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    lines = make_lines(60, "classes")
    lines[:4] = ["x,999,,,,,won", "too,few", "y,999,,,,,won", "z,1,2.5,,,,won"]
    lines[40] = "x,-1,,,,,won"
    whole = predict_to(
        trained_config, write_files(tmp_path / "one", lines), tmp_path / f"a{suffix}"
    )
    monkeypatch.setattr(raw_csv, "BATCH", 100)  # characters: the first batch has no row that fits
    data = write_files(tmp_path / "three", lines, 3)
    parts = predict_to(trained_config, data, tmp_path / f"b{suffix}")
    assert whole["id"].tolist() == [f"k{number}" for number in range(4, 60) if number != 40]
    pd.testing.assert_frame_equal(parts, whole)
    rejected = pd.read_csv(tmp_path / "b.rejected.csv")
    assert list(zip(rejected["source"], rejected["line"], strict=True)) == [
        *(("0.csv", line) for line in (2, 3, 4, 5)),
        ("2.csv", 2),
    ]
    reasons = pd.read_csv(tmp_path / "a.rejected.csv")["reason"]
    assert rejected["reason"].tolist() == reasons.tolist()
    assert reasons.iloc[3] == "class: 2.5 fails to be a whole number"


@CLASSES
def test_no_more_than_one_batch_is_held(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ref[Any]] = []

    def watch(*arguments: Any) -> Iterator[RawData]:
        for batch in read_batches(*arguments):
            assert sum(held() is not None for held in given) <= 1
            given.append(ref(batch.rows))
            yield batch

    monkeypatch.setattr(raw_csv, "BATCH", 200)
    monkeypatch.setattr(file_prediction, "read_batches", watch)
    data = write_files(tmp_path, make_lines(100))
    assert len(predict_to(trained_config, data, tmp_path / "out" / "found.csv")) == 100
    assert len(given) > 10


@CLASSES
def test_where_no_terminal_shows_a_bar_the_log_says_how_far_it_is(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(raw_csv, "BATCH", 500)
    monkeypatch.setattr(file_prediction, "NEWS", -1)
    data = write_files(tmp_path, ["x,999,,,,,won", *make_lines(40)])
    with caplog.at_level("INFO", "predict"):
        predict_to(trained_config, data, tmp_path / "out" / "found.csv")
    *parts, rejected, done = [record.getMessage() for record in caplog.records]
    assert len(parts) > 2
    assert parts[-1] == "predict: 41 rows so far"
    assert rejected.startswith("rejected: 1 rows to ")
    assert done.startswith("predict: 40 rows to ")


@CLASSES
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_leaves_the_old_output_and_nothing_else(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    failure: BaseException,
) -> None:
    lines = make_lines(30)
    data, output = write_files(tmp_path / "raw", ["x,999,,,,,won", *lines]), tmp_path / "out"
    predict_to(trained_config, data, output / f"found{suffix}")
    before, calls = contents(output), 0

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
        predict_to(trained_config, data, output / f"found{suffix}")
    assert calls == 2
    assert contents(output) == before
    if expected is UserError:
        assert str(error.value).startswith(f"can't write {output / 'found'}{suffix}: No space")


@CLASSES
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["lost", "won"], pa.string()),
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
    monkeypatch.setattr(raw_csv, "BATCH", 100)
    data = write_files(tmp_path / "raw", [*["x,999,,,,,won"] * 20, *make_lines(20)])
    found = predict_to(trained_config, data, tmp_path / "found.parquet")
    types = pq.read_schema(tmp_path / "found.parquet")
    names = [f"probability {name_label(label)}" for label in labels]
    assert types.names == [*HEADER, "prediction", *names]
    assert [types.field(name).type for name in ("id", "class", "prediction", names[0])] == [
        pa.string(),
        pa.string(),
        dtype,
        pa.float64(),
    ]
    as_text = predict_to(trained_config, data, tmp_path / "found.csv")
    assert as_text["prediction"].tolist() == found["prediction"].tolist()
    assert set(found["prediction"]) <= set(labels)


TEXTS = ["a", "", " a ", "a,b", 'say "a"', "a\rb", "a\n", "\r\n", ";", "ü\u2028", "'", "\t"]


@pytest.mark.parametrize("texts", [["a", " b "], *([text, "x"] for text in TEXTS), TEXTS])
def test_text_comes_back_from_csv_as_it_was(texts: list[str], tmp_path: Path) -> None:
    numbers = [None, *np.linspace(0, 1, len(texts) - 1).round(6).tolist()]
    rows = pa.table({"text": [*texts, None], "number": [*numbers, 1e-6]})
    file = tmp_path / "rows.csv"
    file.write_bytes(format_csv(rows))
    found = pd.read_csv(file, header=None, dtype="str", keep_default_na=False)
    assert found[0].tolist() == [*texts, ""]
    expected = ["" if number is None else number for number in [*numbers, 1e-6]]
    assert [cell and float(cell) for cell in found[1]] == expected


ODD: dict[str, list[Any]] = {
    "Total Charges": [None, -0.01, 0, 100, 100.01, 1e300, float("inf"), float("nan"), "much", ""],
    "class": [None, 2.0, 2.5, -3, 1e20, 2**53 + 1, 0.001, float("inf"), "two"],
    "größe": [None, "small", " LARGE ", "Huge", " huge", "Sm all"],
    "member": [None, True, False, "maybe"],
    "since": [
        None,
        "2024-02-29",
        "2024-02-30",
        "2010-01-01",
        "2009-12-31T23:59:59",
        "2025-12-31T23:30:00-01:00",
        "2025-12-31T23:30:00+01:00",
        "2024-01-31T22:30:00.123456Z",
        "2024-01-31 22:30",
        "31.01.2024",
        "soon",
    ],
}


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("unknown", ["accept", "reject"])
def test_a_file_is_refused_and_answered_row_by_row_as_a_request_is(
    trained_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unknown: Any,
    nullable: bool,
) -> None:
    model = load_model(trained_config.paths.model)
    serving = ServingConfig(unknown_categories=unknown)
    *columns, since = (replace(column, nullable=nullable) for column in model.table.features)
    since = replace(since, minimum="2010-01-01T00:00:00", maximum="2025-12-31T23:59:59")
    table = replace(model.table, features=(*columns, since))
    model = replace(model, table=table)
    usual = {
        "Total Charges": 50,
        "class": 2,
        "größe": "Small",
        "member": True,
        "since": "2020-01-31",
    }
    # An empty text stands in a file for a missing value.
    rows = [usual | {name: cell} for name, cells in ODD.items() for cell in cells]
    reader, answered = RequestReader(table, serving), []
    for number, row in enumerate(rows):
        features = {name: None if cell == "" else cell for name, cell in row.items()}
        try:
            read = reader.read(json.dumps({"features": [features]}).encode())
        except InvalidRequest as error:
            assert error.code == 422
            continue
        assert isinstance(read, list)
        answered.append({"id": number} | model.predict(read)[0])
    assert 0 < len(answered) < len(rows)

    lines = [",".join(["id", *usual])]
    for number, row in enumerate(rows):
        cells = [cell if isinstance(cell, str) else json.dumps(cell) for cell in row.values()]
        lines.append(",".join([str(number), *("" if cell == "null" else cell for cell in cells)]))
    (tmp_path / "odd.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(file_prediction, "load_model", lambda path: model)
    config = trained_config.model_copy(update={"serving": serving})
    found = predict_to(config, str(tmp_path / "odd.csv"), tmp_path / "found.parquet")
    assert found["id"].astype(int).tolist() == [answer["id"] for answer in answered]
    assert found["prediction"].tolist() == [answer["prediction"] for answer in answered]
    for name in model.names:
        shares = [answer["probabilities"][name] for answer in answered]
        assert found[f"probability {name}"].tolist() == shares
