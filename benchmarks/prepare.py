"""Write requests, expected probabilities and a pickled pipeline. Runs in a generated project.

python prepare.py FOLDER
"""

import json
import pickle
import sys
from pathlib import Path

import pandas as pd
from customer_churn.config import read_config
from customer_churn.feature_engineering import features_of_table
from customer_churn.model_training import fit_model, make_dataset
from customer_churn.prediction import load_model
from customer_churn.schema import read_table
from customer_churn.service.request_validation import RequestReader
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

ROWS = 1_000

folder, config = Path(sys.argv[1]), read_config()
table, frame = read_table(config), pd.read_parquet(config.paths.processed)
dataset = make_dataset(frame, table, config.training)
pipeline = fit_model(dataset, config.training.model, config.training)

# The first row, which is also sent alone, has a value in each column.
frame = frame[[column.name for column in table.features]]
sample = pd.concat([frame.dropna().iloc[:1], frame.iloc[: ROWS - 1]], ignore_index=True)
expected = pipeline.predict_proba(features_of_table(sample, table.features)).tolist()
dates = {name: sample[name].dt.strftime("%Y-%m-%d") for name in table.dates}
rows = json.loads(sample.assign(**dates).to_json(orient="records"))
read = RequestReader(table, config.serving).read(rows)
answers = load_model(folder / "model.onnx").predict(read)

# The peers with scikit-learn serve a pipeline that takes the rows of a request.
types = {"dtype": dict.fromkeys(table.dates, "datetime64[us]")}
parse_dates = FunctionTransformer(pd.DataFrame.astype, kw_args=types)
build = FunctionTransformer(features_of_table, kw_args={"columns": table.features})
whole = make_pipeline(parse_dates, build, pipeline)
(folder / "pipeline.pickle").write_bytes(pickle.dumps(whole))

for name, content in {
    "expected": expected,
    "features.1": {"features": rows[0]},
    "features.1000": {"features": rows},
    "mlflow.1": {"dataframe_records": rows[:1]},
    "mlflow.1000": {"dataframe_records": rows},
    "answer.1": answers[0],
    "answer.1000": {"predictions": answers},
}.items():
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
