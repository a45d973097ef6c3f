"""FastAPI and the scikit-learn pipeline."""

import os
import pickle
from pathlib import Path

import pandas as pd
from customer import Body
from fastapi import FastAPI

app = FastAPI()
pipeline = pickle.loads((Path(os.environ["BENCHMARK_FOLDER"]) / "raw.pickle").read_bytes())


@app.post("/predict")
def predict(body: Body) -> dict[str, list[list[float]]]:
    """Answer the probabilities."""
    return {"predictions": pipeline.predict_proba(pd.DataFrame(body.rows())).tolist()}
