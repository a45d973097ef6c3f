"""Describe the API as an OpenAPI document: openapi.yaml, and what the served model adds to it."""

import json
from pathlib import Path
from typing import Any

import yaml

from .prediction import Model
from .request_validation import RequestReader


def describe_api(model: Model, reader: RequestReader) -> dict[str, Any]:
    """Return the document: openapi.yaml with the schemas and an example of this model."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    schema = reader.body.json_schema(ref_template="#/components/schemas/{model}")
    rows = schema.pop("$defs")
    document["components"]["schemas"] |= rows | {"body": schema, "answer": describe_answer(model)}

    row = model.example
    features: Any = reader.read(json.dumps({"features": [row]}).encode())
    (answer,) = model.predict(features)
    predict = document["paths"]["/predict"]["post"]
    predict["requestBody"]["content"]["application/json"]["examples"] = {
        "one row": {"value": {"features": row}},
        "several rows": {"value": {"features": [row, row]}},
    }
    predict["responses"]["200"]["content"]["application/json"]["examples"] = {
        "one row": {"value": answer},
        "several rows": {"value": {"predictions": [answer, answer]}},
    }
    return document


def describe_answer(model: Model) -> dict[str, Any]:
    """Return the schema of the answer to one row."""
    properties: dict[str, Any] = {"prediction": {"type": "number"}}
    if model.table.task == "classification":
        shares = {name: {"type": "number", "minimum": 0, "maximum": 1} for name in model.names}
        properties = {
            "prediction": {"enum": model.labels},
            "probabilities": close({"type": "object", "properties": shares}),
        }
    return close({"type": "object", "properties": properties})


def close(schema: dict[str, Any]) -> dict[str, Any]:
    """Require all properties of an object, and allow no others."""
    return schema | {"required": list(schema["properties"]), "additionalProperties": False}
