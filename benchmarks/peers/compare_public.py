"""Compare the models on the tables inside scikit-learn. Runs in a baked project, by its Python.

python compare_public.py: a line of JSON for each table and model
"""

import json

from customer_churn.config import read_config
from customer_churn.evaluation import list_metrics
from customer_churn.model_training import make_dataset
from customer_churn.schema import Column, Table
from customer_churn.training.selection import compare_models
from sklearn import datasets

TABLES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def main():
    """Compare all models on all tables."""
    config = read_config().training
    for name in TABLES:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        task = "regression" if name == "diabetes" else "classification"
        kind = "number" if task == "regression" else "integer"
        features = tuple(Column(each, "number") for each in frame if each != "target")
        target = Column("target", kind)
        table = Table((*features, target), features, target, task)
        dataset = make_dataset(frame, table, config)
        metric, how = next(iter(list_metrics(None, task).items()))
        choice, comparison = compare_models(dataset, how, config)
        for entry in comparison:
            tie = "tie" if "tie" in entry["note"] else ""
            verdict = "chosen" if entry["model"] == choice else tie
            figures = {"mean": entry["mean"], "spread": entry["standard_deviation"]}
            figures["seconds"] = entry["fit_seconds"]
            place = {"table": name, "rows": len(frame), "metric": metric, "model": entry["model"]}
            print(json.dumps(place | figures | {"verdict": verdict}), flush=True)


main()
