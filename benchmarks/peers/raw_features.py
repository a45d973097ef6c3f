"""The first step of a peer's scikit-learn pipeline: from what is sent to the package's features."""

import pandas as pd
from customer_churn.feature_engineering import features_of_table


def raw_features(frame, columns):
    """Turn a frame of JSON rows into the features that the trained pipeline takes."""
    dates = [column.name for column in columns if column.kind == "date"]
    frame = frame.assign(**{name: pd.to_datetime(frame[name]) for name in dates})
    return features_of_table(frame, columns)


def as_features(matrix, types):
    """Turn an array of features that a client has built into a frame."""
    return pd.DataFrame(matrix, columns=list(types)).astype(types)
