"""Time `predict_frame` beside scikit-learn on the same frame: python score_frame.py ROWS ROUNDS."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from customer_churn.config import read_config
from customer_churn.feature_engineering import features_of_table
from customer_churn.model_training import fit_model, make_dataset
from customer_churn.prediction import load_model, predict_features, predict_frame
from customer_churn.schema import read_table
from customer_churn.training.dataset import read_processed
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

DAY = pd.Timedelta(days=1)
rows, rounds = map(int, sys.argv[1:])
config = read_config()
table = read_table(config)
known = read_processed(config.paths.processed, table)
kinds = {column.name: column.kind for column in table.features}
texts = [name for name, kind in kinds.items() if kind == "category"]
known[texts] = known[texts].astype("str")
frame = known.iloc[np.random.default_rng(0).integers(0, len(known), rows)].reset_index(drop=True)


def as_numbers(columns):
    """Return numbers, booleans and dates, of these the days, as numbers."""
    dates = columns.select_dtypes("datetime")
    days = {name: (dates[name] - pd.Timestamp(2000, 1, 1)) / DAY for name in dates}
    return columns.assign(**days).astype(float)


def plain_pipeline(name, estimator):
    """Return an unfitted pipeline of scikit-learn's own steps, which takes the frame."""
    ready = [FunctionTransformer(as_numbers)]
    ready += [SimpleImputer(strategy="median")] * (name != "gradient_boosting")
    ready += [StandardScaler()] * (name == "logistic")
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    codes = OneHotEncoder(handle_unknown="ignore") if name == "logistic" else codes
    others = [column for column in kinds if column not in texts]
    steps = [("numbers", make_pipeline(*ready), others), ("categories", codes, texts)]
    return make_pipeline(ColumnTransformer(steps), clone(estimator))


for name in ("gradient_boosting", "random_forest", "logistic"):
    pipeline = fit_model(make_dataset(known, table, config.training), name, config.training)
    plain = plain_pipeline(name, pipeline[-1]).fit(known[[*kinds]], known[table.target.name])
    model = load_model(Path("models") / f"{name}.onnx")
    X = features_of_table(frame, table.features)
    ways = {
        "predict_frame": partial(predict_frame, model, frame),
        "scikit-learn, frame": partial(plain.predict_proba, frame[[*kinds]]),
        "scikit-learn, features": partial(pipeline.predict_proba, X),
    }
    answers = predict_frame(model, frame).iloc[:, 1:].to_numpy()
    assert (answers == predict_features(model.outputs, X)).all(), "other answers for the frame"
    figures = {way: [] for way in ways}
    for _ in range(rounds):
        for way, score in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            score()
            figures[way].append((time.perf_counter() - wall, time.process_time() - processor))
    medians = {way: np.median(times, axis=0).tolist() for way, times in figures.items()}
    print(json.dumps({"model": name, "ways": medians}), flush=True)
