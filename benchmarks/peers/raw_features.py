"""The package's features as the first step of a scikit-learn pipeline, which takes raw rows."""

import pandas as pd
from customer_churn.feature_engineering import as_frame, build_features, to_array


def raw_features(frame, columns):
    """Turn a frame of JSON rows into the frame that the trained pipeline takes."""
    arrays = {}
    for column in columns:
        values = frame[column.name]
        arrays[column.name] = to_array(
            pd.to_datetime(values) if column.kind == "date" else values, column
        )
    return as_frame(build_features(arrays, columns))
