"""The package's features as the first step of a scikit-learn pipeline, which takes raw rows."""

import pandas as pd
from customer_churn.feature_engineering import build_features, values_of_frame


def raw_features(frame, columns, vocabulary):
    """Turn a frame of JSON rows into the matrix that the trained pipeline takes."""
    dates = [column.name for column in columns if column.kind == "date"]
    frame = frame.assign(**{name: pd.to_datetime(frame[name]) for name in dates})
    return build_features(values_of_frame(frame, columns), columns, vocabulary)
