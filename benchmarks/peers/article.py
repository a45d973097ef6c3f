"""The naive app: unpickles a model, makes an array of what comes, on Flask's development server."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
model = pickle.loads((Path(os.environ["BENCHMARK_FOLDER"]) / "built.pickle").read_bytes())


@app.route("/predict", methods=["POST"])
def predict():
    """Answer the probabilities; the client sends the features, already built, in their order."""
    features = np.array(request.get_json()["features"], dtype=object)
    probabilities = model.predict_proba(np.atleast_2d(features))
    return jsonify(predictions=probabilities.tolist())


if __name__ == "__main__":
    app.run(debug=True, port=int(sys.argv[1]))
