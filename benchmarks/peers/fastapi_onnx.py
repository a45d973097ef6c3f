"""FastAPI and the same ONNX model, which the package's own `prediction` loads."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from customer_churn.prediction import load_model
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field


class Customer(BaseModel):
    """A row of the sample table; every value may be missing."""

    model_config = ConfigDict(extra="forbid")

    signup_date: datetime | None = None
    age: Annotated[int, Field(ge=18, le=110)] | None = None
    region: Literal["North", "South", "East", "West"] | None = None
    plan: Literal["Basic", "Standard", "Premium"] | None = None
    contract_type: Literal["Monthly", "Yearly", "Two-year"] | None = None
    monthly_charge: Annotated[float, Field(ge=0, le=500)] | None = None
    data_gb: Annotated[float, Field(ge=0, le=1000)] | None = None
    support_calls: Annotated[int, Field(ge=0, le=100)] | None = None
    paperless: bool | None = None
    last_payment_date: datetime | None = None


class Body(BaseModel):
    """One row, or a list of rows."""

    features: Customer | list[Customer]


app = FastAPI()
model = load_model(Path(os.environ["BENCHMARK_FOLDER"]) / "model.onnx")


@app.post("/predict")
async def predict(body: Body) -> dict[str, list[Any]]:
    """Answer like app.py; `async`, because a thread would cost more than the model."""
    features = body.features if isinstance(body.features, list) else [body.features]
    return {"predictions": model.predict([row.model_dump() for row in features])}
