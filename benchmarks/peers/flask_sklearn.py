"""Flask and the scikit-learn pipeline."""

import os
import pickle
from pathlib import Path

import pandas as pd
from flask import Flask, request


def create_app():
    """Build the application."""
    pipeline = pickle.loads((Path(os.environ["BENCHMARK_FOLDER"]) / "raw.pickle").read_bytes())
    app = Flask(__name__)

    @app.post("/predict")
    def predict():
        features = request.get_json()["features"]
        frame = pd.DataFrame(features if isinstance(features, list) else [features])
        return {"predictions": pipeline.predict_proba(frame).tolist()}

    return app
