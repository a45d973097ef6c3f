"""Compare the models on the tables inside scikit-learn. Runs in a baked project, by its Python.

python compare_public.py: a line of JSON for each table and model
"""

import json

import numpy as np
from customer_churn.config import read_config
from customer_churn.model_training import MODELS, build_pipeline
from customer_churn.training.model_selection import choose_model, compare_models
from customer_churn.training.preparation import make_folds
from sklearn import datasets

TABLES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def main():
    """Compare all models on all tables."""
    config = read_config().training
    for name in TABLES:
        features, target = getattr(datasets, f"load_{name}")(return_X_y=True)
        task = "regression" if name == "diabetes" else "classification"
        classes = 0 if task == "regression" else len(np.unique(target))
        sizes = task, features.shape[1], 0, config
        pipelines = {model: build_pipeline(model, *sizes) for model in MODELS[task]}
        folds = make_folds(target, task, config)
        metric = "roc_auc" if classes else "rmse"
        scores = compare_models(
            pipelines, features.astype(np.float32), target, folds, classes, metric
        )
        choice, ties = choose_model(scores, list(MODELS[task]))
        for score in scores:
            verdict = "chosen" if score.model == choice else "tie" if score.model in ties else ""
            figures = {"mean": score.mean, "spread": score.spread, "seconds": score.fit_seconds}
            place = {"table": name, "rows": len(target), "metric": metric, "model": score.model}
            print(json.dumps(place | figures | {"verdict": verdict}), flush=True)


main()
