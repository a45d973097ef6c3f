"""FastAPI and the same ONNX model, by the package's own `prediction`."""

import os
from pathlib import Path
from typing import Any

from customer import Body
from customer_churn.prediction import load_model
from fastapi import FastAPI

app = FastAPI()
model = load_model(Path(os.environ["BENCHMARK_FOLDER"]) / "gradient_boosting.onnx")


@app.post("/predict")
async def predict(body: Body) -> dict[str, list[Any]]:
    """Answer like app.py; `async`, because a thread would cost more than the model."""
    return {"predictions": model.predict(body.rows())}
