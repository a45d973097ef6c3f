"""The command `predict`: files in, files with predictions out."""

import pandas as pd
import pytest
from conftest import CLASSES, HEADER, make_lines, write_csv

from {{ cookiecutter.project_slug }}.etl.file_prediction import predict_file
from {{ cookiecutter.project_slug }}.prediction import load_model, predict_frame
from {{ cookiecutter.project_slug }}.utils import UserError


def predict(config, data, output):
    """Predict a file, and return what was written."""
    predict_file(str(data), output, config.paths.model, config, workers=1)
    read = pd.read_parquet if output.suffix == ".parquet" else pd.read_csv
    return read(output)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_answered_as_a_table_is(trained_config, tmp_path, suffix):
    processed = trained_config.paths.processed
    model = load_model(trained_config.paths.model)
    expected = predict_frame(model, pd.read_parquet(processed))
    found = predict(trained_config, processed, tmp_path / f"found{suffix}")
    assert list(found)[: len(HEADER)] == HEADER
    pd.testing.assert_frame_equal(found[expected.columns], expected)


@CLASSES
def test_rejected_rows_are_kept_beside_and_the_others_in_order(
    trained_config, tmp_path
):
    lines = [line.rsplit(",", 1)[0] for line in make_lines(3)]  # no target yet
    lines.insert(1, lines[0].replace("k0,", "k9,900"))
    new = write_csv(tmp_path / "new.csv", [*lines, "too,few"], HEADER[:-1])
    found = predict(trained_config, new, tmp_path / "found.csv")
    assert found["id"].tolist() == ["k0", "k1", "k2"]
    rejected = pd.read_csv(tmp_path / "found.rejected.csv")
    assert rejected["line"].tolist() == [3, 6]
    assert rejected["reason"].tolist()[1] == "2 fields instead of 6"


@CLASSES
def test_mistakes_are_one_line_and_leave_the_old_output(trained_config, tmp_path):
    good = write_csv(tmp_path / "good.csv", make_lines(5))
    bad = write_csv(tmp_path / "bad.csv", ["x,999,,,,,won", "y,999,,,,,won"])
    output = tmp_path / "found.csv"
    output.write_text("old", encoding="utf-8")
    for data, place, message in (
        (good, tmp_path / "found.xlsx", r"must end in \.csv or \.parquet"),
        (good, good, "would be read and written; choose another --output"),
        (write_csv(tmp_path / "empty.csv", []), output, "has a header but no rows"),
        (bad, output, "are rejected, most often Total Charges: is above 100"),
    ):
        with pytest.raises(UserError, match=message):
            predict(trained_config, data, place)
    assert output.read_text(encoding="utf-8") == "old"
