"""BentoML and the scikit-learn pipeline."""

import os
import pickle
from pathlib import Path

import bentoml
import pandas as pd
from customer import Customer


@bentoml.service(workers=1)
class Churn:
    """The service."""

    def __init__(self) -> None:
        """Load the pipeline."""
        file = Path(os.environ["BENCHMARK_FOLDER"]) / "raw.pickle"
        self.pipeline = pickle.loads(file.read_bytes())

    @bentoml.api
    def predict(self, features: list[Customer]) -> list[list[float]]:
        """Answer the probabilities."""
        frame = pd.DataFrame([customer.model_dump() for customer in features])
        return self.pipeline.predict_proba(frame).tolist()
