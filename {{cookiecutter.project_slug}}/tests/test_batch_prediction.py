from pathlib import Path

import pandas as pd
import pytest
from conftest import HEADER, make_lines, rows_of, write_raw

from {{ cookiecutter.project_slug }} import batch_prediction
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_training import read_processed
from {{ cookiecutter.project_slug }}.prediction import load_model, name_label
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.utils import UserError


def predict(config: Config, data: str, output: Path) -> pd.DataFrame:
    batch_prediction.run(data, output, config.paths.model, config)
    return pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_answered_as_a_request_is(
    trained_config: Config, tmp_path: Path, suffix: str
) -> None:
    table = read_table(trained_config)
    processed = trained_config.paths.processed
    frame = read_processed(processed, [*table.features, table.target])
    model = load_model(trained_config.paths.model)
    expected = model.predict(rows_of(frame, table))

    found = predict(trained_config, str(processed), tmp_path / f"found{suffix}")
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
    found = predict(trained_config, str(raw), tmp_path / "found.csv")
    assert found["id"].tolist() == ["k0", "k1", "k2"]
    rejected = pd.read_csv(tmp_path / "found.rejected.csv")
    assert rejected["line"].tolist() == [3, 6]
    assert rejected["reason"].tolist()[1] == "2 fields instead of 6"


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_mistakes_are_told_in_one_line(trained_config: Config, tmp_path: Path) -> None:
    data = str(write_raw(trained_config, make_lines(10)))
    with pytest.raises(UserError, match=r"must end in \.csv or \.parquet"):
        predict(trained_config, data, tmp_path / "found.xlsx")
    with pytest.raises(UserError, match=r"no model at .*; run: uv run train"):
        batch_prediction.run(data, tmp_path / "found.csv", tmp_path / "model.onnx", trained_config)
    table = trained_config.table.model_copy(update={"exclude": [HEADER[1]]})
    changed = trained_config.model_copy(update={"table": table})
    with pytest.raises(UserError, match="was trained with other columns; run: uv run train"):
        predict(changed, data, tmp_path / "found.csv")
    assert not list(tmp_path.iterdir())
