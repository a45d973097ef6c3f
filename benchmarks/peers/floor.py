"""The floor: parse the same JSON and answer a constant of the same size, on the server of app.py.

python floor.py --port 8000
"""

import json
import os
from pathlib import Path

from flask import Flask, request


def create_app():
    """Build the application."""
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    one, many = (
        json.loads((folder / f"answer.{rows}.json").read_text(encoding="utf-8"))
        for rows in (1, 1000)
    )
    app = Flask(__name__)

    @app.post("/predict")
    def predict():
        features = request.get_json()["features"]
        return many if isinstance(features, list) else one

    return app


if __name__ == "__main__":
    import app  # of the project

    make_server = app.make_server
    app.make_server = lambda target, config: make_server("floor:create_app", config)
    app.main()
