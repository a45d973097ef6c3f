"""Train or predict with pandas and scikit-learn alone.

python sklearn_alone.py train TABLE.parquet OUTPUT.joblib MODEL
python sklearn_alone.py predict DATA.csv OUTPUT.csv TRAINED.joblib
"""

import json
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

CATEGORIES = ["region", "plan", "contract_type", "paperless"]
NUMBERS = ["age", "monthly_charge", "data_gb", "support_calls"]
DATES = ["signup_date", "last_payment_date"]
PARTS = [f"{name} ({part})" for name in DATES for part in ("days", "month", "weekday")]
FEATURES = ["young_or_old", "charge_without_contract"]  # those of the sample project

codes = (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), CATEGORIES)
median = SimpleImputer(strategy="median")
MODELS = {  # with the settings of config.yaml
    "gradient_boosting": (
        make_column_transformer(codes, remainder="passthrough"),
        HistGradientBoostingClassifier(max_leaf_nodes=8, random_state=0),
    ),
    "random_forest": (
        make_column_transformer(codes, (median, NUMBERS + PARTS + FEATURES)),
        RandomForestClassifier(min_samples_leaf=5, max_depth=12, n_jobs=-1, random_state=0),
    ),
    "logistic": (
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
            (make_pipeline(median, StandardScaler()), NUMBERS + PARTS + FEATURES),
        ),
        LogisticRegression(max_iter=1000),
    ),
}


def build_features(frame):
    """Return the features of the project: text, and float32 numbers."""
    X = frame[CATEGORIES].astype("str").fillna("missing").astype(object)
    X[NUMBERS] = frame[NUMBERS].astype("float32")
    for name in DATES:
        dates = pd.to_datetime(frame[name])
        X[f"{name} (days)"] = (dates - pd.Timestamp(2000, 1, 1)) / pd.Timedelta(days=1)
        X[f"{name} (month)"], X[f"{name} (weekday)"] = dates.dt.month, dates.dt.day_of_week
    is_monthly = frame["contract_type"] == "Monthly"
    X["young_or_old"] = (frame["age"] < 30) | (frame["age"] > 65)
    X["charge_without_contract"] = frame["monthly_charge"] * is_monthly
    return X.astype(dict.fromkeys(PARTS + FEATURES, "float32"))


def train(data, output, name):
    """Split, fit, evaluate and save a model."""
    frame = pd.read_parquet(data)
    y = (frame["churned"] == "Yes").to_numpy()
    split = {"test_size": 0.2, "random_state": 0, "stratify": y}
    train, test, y_train, y_test = train_test_split(frame, y, **split)
    model = make_pipeline(FunctionTransformer(build_features), *MODELS[name])
    model.fit(train, y_train)
    probabilities = model.predict_proba(test)[:, 1]
    metrics = {
        "roc_auc": roc_auc_score(y_test, probabilities),
        "log_loss": log_loss(y_test, probabilities),
    }
    record = json.dumps({"metrics": metrics})
    Path(output).with_suffix(".metrics").write_text(record, encoding="utf-8")
    joblib.dump(model, output)


def predict(data, output, trained):
    """Predict every row of a file; nothing is validated."""
    frame = pd.read_csv(data)
    known = frame.assign(paperless=frame["paperless"].map({"Yes": "True", "No": "False"}))
    probabilities = joblib.load(trained).predict_proba(known)[:, 1]
    frame["prediction"] = pd.Series(probabilities > 0.5).map({True: "Yes", False: "No"})
    frame["probability No"], frame["probability Yes"] = 1 - probabilities, probabilities
    frame.to_csv(output, index=False)


if __name__ == "__main__":
    task = {"train": train, "predict": predict}[sys.argv[1]]
    task(*sys.argv[2:])
