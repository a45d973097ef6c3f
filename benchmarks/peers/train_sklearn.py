"""Train as one does with scikit-learn alone: read the table, split, fit, evaluate, save.

python train_sklearn.py TABLE.parquet MODEL OUTPUT
"""

import sys

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector as choose
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

KEY, TARGET = "customer_id", "churned"
TEXT, NUMBERS = choose(dtype_include=["object", "str"]), choose(dtype_exclude=["object", "str"])
CODES = (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), TEXT)
MEDIAN = SimpleImputer(strategy="median")
MODELS = {  # with the settings of config.yaml
    "gradient_boosting": (
        make_column_transformer(CODES, remainder="passthrough"),
        HistGradientBoostingClassifier(max_leaf_nodes=8, random_state=0),
    ),
    "random_forest": (
        make_column_transformer(CODES, (MEDIAN, NUMBERS)),
        RandomForestClassifier(min_samples_leaf=5, max_depth=12, n_jobs=-1, random_state=0),
    ),
    "logistic": (
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), TEXT),
            (make_pipeline(MEDIAN, StandardScaler()), NUMBERS),
        ),
        LogisticRegression(max_iter=1000),
    ),
}


def main():
    """Train one model."""
    table, name, output = sys.argv[1:]
    frame = pd.read_parquet(table).dropna(subset=TARGET)
    target = (frame.pop(TARGET) == "Yes").to_numpy()
    frame = frame.drop(columns=KEY)
    for column in frame.select_dtypes("datetime"):
        day = frame[column]
        frame[column] = (day - pd.Timestamp(2000, 1, 1)) / pd.Timedelta(days=1)
        frame[f"{column} (month)"], frame[f"{column} (weekday)"] = day.dt.month, day.dt.day_of_week
    texts = frame.select_dtypes(["object", "str"]).columns
    frame[texts] = frame[texts].fillna("missing").astype(object)
    for column in frame.columns.difference(texts):
        frame[column] = frame[column].to_numpy(np.float32, na_value=np.nan)
    split = {"test_size": 0.2, "random_state": 0, "stratify": target}
    train, test, train_target, test_target = train_test_split(frame, target, **split)
    model = make_pipeline(*MODELS[name]).fit(train, train_target)
    found = model.predict_proba(test)
    print(f"roc_auc {roc_auc_score(test_target, found[:, 1]):.4f}")
    print(f"accuracy {accuracy_score(test_target, found[:, 1] > 0.5):.4f}")
    print(f"balanced_accuracy {balanced_accuracy_score(test_target, found[:, 1] > 0.5):.4f}")
    print(f"log_loss {log_loss(test_target, found):.4f}")
    joblib.dump(model, output)


main()
