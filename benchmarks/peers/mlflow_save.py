"""Save the scikit-learn pipeline for `mlflow models serve`."""

import json
import os
import pickle
from pathlib import Path

import mlflow
import pandas as pd

folder = Path(os.environ["BENCHMARK_FOLDER"])
pipeline = pickle.loads((folder / "pipeline.pickle").read_bytes())
rows = json.loads((folder / "features.1000.json").read_text(encoding="utf-8"))["features"]
frame = pd.DataFrame(rows).convert_dtypes()
# All as floats: MLflow refuses a missing integer, and reads a missing boolean as false.
frame = frame.astype(dict.fromkeys(frame.select_dtypes(["Int64", "boolean"]), float))
mlflow.sklearn.save_model(
    pipeline,
    folder / "mlflow",
    signature=mlflow.models.infer_signature(frame, pipeline.predict_proba(frame)),
    pyfunc_predict_fn="predict_proba",
    pip_requirements=[],
    serialization_format="cloudpickle",
)
