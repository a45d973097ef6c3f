"""Train the models that are served, and write the requests. Runs in a baked project, by its Python.

python prepare.py FOLDER [MODEL …]
"""

import json
import pickle
import sys
from pathlib import Path

import pandas as pd
from customer_churn.config import read_config
from customer_churn.feature_engineering import features_of_table
from customer_churn.model_training import fit_model, make_dataset
from customer_churn.prediction import load_model
from customer_churn.schema import read_table
from customer_churn.service.request_validation import RequestReader
from customer_churn.training.train import run
from raw_features import as_features, raw_features
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

ROWS = 1_000
PEERS_MODEL = "gradient_boosting"


def plain(value):
    """Return a cell of a table as JSON has it."""
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
    dataset = make_dataset(frame, table, config.training)
    names = [column.name for column in table.features]
    complete = frame[names].dropna().iloc[:1]  # the one row has a value in each column
    sample = pd.concat([complete, frame[names].iloc[: ROWS - 1]], ignore_index=True)
    rows = [{name: plain(row[name]) for name in names} for _, row in sample.iterrows()]

    X = features_of_table(sample, table.features)
    pipelines = {}
    for name in models:
        run(config.paths.processed, name, folder / f"{name}.onnx", config)
        pipelines[name] = fit_model(dataset, name, config.training)
        expected = pipelines[name].predict_proba(X).tolist()
        (folder / f"{name}.expected.json").write_text(json.dumps(expected), encoding="utf-8")

    pipeline = pipelines[PEERS_MODEL]
    for file, function, settings in (
        ("raw", raw_features, {"columns": table.features}),
        ("built", as_features, {"types": X.dtypes.to_dict()}),
    ):
        step = FunctionTransformer(function, kw_args=settings)
        content = pickle.dumps(make_pipeline(step, *(step for _, step in pipeline.steps)))
        (folder / f"{file}.pickle").write_bytes(content)

    read = RequestReader(table, config.serving).read(rows)
    answers = load_model(folder / f"{PEERS_MODEL}.onnx").predict(read)
    built = [[plain(value) for value in row] for row in X.astype(object).to_numpy()]
    bodies = {
        "features": ({"features": rows[0]}, {"features": rows}),
        "list": ({"features": rows[:1]}, {"features": rows}),
        "mlflow": ({"dataframe_records": rows[:1]}, {"dataframe_records": rows}),
        "article": ({"features": built[0]}, {"features": built}),
        "answer": (answers[0], {"predictions": answers}),
    }
    for name, (one, many) in bodies.items():
        (folder / f"{name}.1.json").write_text(json.dumps(one), encoding="utf-8")
        (folder / f"{name}.{ROWS}.json").write_text(json.dumps(many), encoding="utf-8")


if __name__ == "__main__":
    main()
