"""Train the models that are served, and write the requests. Runs in a baked project, by its Python.

python prepare.py FOLDER [MODEL …]
"""

import json
import pickle
import sys
from pathlib import Path

import pandas as pd
from customer_churn.config import read_config
from customer_churn.feature_engineering import build_features, values_of_frame
from customer_churn.model_training import fit_model
from customer_churn.prediction import load_model
from customer_churn.schema import read_table
from raw_features import raw_features
from customer_churn.service.request_validation import RequestReader
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from customer_churn.training.preparation import prepare
from customer_churn.training.train import run

ROWS = 1_000
PEERS_MODEL = "gradient_boosting"


def plain(value):
    """Return a cell of the processed table as JSON has it."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return value.item() if hasattr(value, "item") else value


def main():
    """Write models, pickled pipelines, the bodies of the requests and the expected answers."""
    folder, models = Path(sys.argv[1]), sys.argv[2:]
    config = read_config()
    table, frame = read_table(config), pd.read_parquet(config.paths.processed)
    pipelines, vocabularies = {}, {}
    for name in models:
        trained = fit_model(prepare(frame, table, config.training), name, config.training)
        run(config.paths.processed, name, folder / f"{name}.onnx", config)
        pipelines[name], vocabularies[name] = trained.pipeline, trained.vocabulary

    names = [column.name for column in table.features]
    complete = frame[names].dropna().iloc[:1]  # the one row has a value in each column
    sample = pd.concat([complete, frame[names].iloc[: ROWS - 1]])
    rows = [{name: plain(row[name]) for name in names} for _, row in sample.iterrows()]
    values, columns = values_of_frame(sample, table.features), table.features
    for name, pipeline in pipelines.items():
        built = build_features(values, columns, vocabularies[name])
        expected = pipeline.predict_proba(built).tolist()
        (folder / f"{name}.expected.json").write_text(json.dumps(expected), encoding="utf-8")
    vocabulary = vocabularies[PEERS_MODEL]  # all have the same: it depends on the split alone
    built = build_features(values, columns, vocabulary)
    built_rows = [[plain(value) for value in row] for row in built.tolist()]
    body = json.dumps({"features": rows}).encode()
    read = RequestReader(table, config.serving).read(body)
    answers = load_model(folder / f"{PEERS_MODEL}.onnx").predict(read)
    pipeline = pipelines[PEERS_MODEL]
    step = FunctionTransformer(raw_features, kw_args={"columns": columns, "vocabulary": vocabulary})
    raw_pipeline = make_pipeline(step, *(step for _, step in pipeline.steps))
    (folder / "built.pickle").write_bytes(pickle.dumps(pipeline))
    (folder / "raw.pickle").write_bytes(pickle.dumps(raw_pipeline))

    bodies = {
        "features": ({"features": rows[0]}, {"features": rows}),
        "list": ({"features": rows[:1]}, {"features": rows}),
        "mlflow": ({"dataframe_records": rows[:1]}, {"dataframe_records": rows}),
        "article": ({"features": built_rows[0]}, {"features": built_rows}),
        "answer": (answers[0], {"predictions": answers}),
    }
    for name, (one, many) in bodies.items():
        (folder / f"{name}.1.json").write_text(json.dumps(one), encoding="utf-8")
        (folder / f"{name}.{ROWS}.json").write_text(json.dumps(many), encoding="utf-8")


if __name__ == "__main__":
    main()
