"""Describe the API as an OpenAPI document, made by flask-openapi3 and pydantic.

It depends on the model that is served, so it is made when somebody asks for it. The
requests themselves are read by `request_validation`, which is faster.
"""

from typing import Annotated, Any, NotRequired

from flask_openapi3 import Info, OpenAPI, Server
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
    create_model,
)
from typing_extensions import TypedDict

from ..prediction import Model
from ..schema import Column, Kind
from .request_validation import RequestReader

DESCRIPTION = """\
A request with a mistake is refused as a whole, and the answer names every bad value:
its row (counted from 0), its column, and what is wrong.

- Send a row as the table's files have it. Text is read as the text of a cell: numbers,
  booleans, dates and missing values as the files spell them.
- A missing value is null or left out. NaN and Infinity are not numbers.
- Dates are ISO 8601. A time with a zone is converted to UTC.
- The target, the key and excluded columns may be there, and are ignored.
- The body is UTF-8, at most 200 levels deep, with each name once in an object.
"""
EXPLAIN = """\
Add the effect of each column: how much higher the probability of the predicted label
(or the predicted number) is than with the column's typical value. One column is
replaced at a time, so interactions are not shown."""


TYPES: dict[Kind, list[str]] = {  # text is read as the text of a cell
    "number": ["number", "string"],
    "integer": ["integer", "string"],
    "boolean": ["boolean", "integer", "string"],
    "date": ["string"],
    "category": ["string", "number"],
}


class Closed(BaseModel):
    """An object with no other names."""

    model_config = ConfigDict(extra="forbid")


class Effect(Closed):
    """The effect of one column on an answer."""

    column: str
    value: Any
    effect: float


class Mistake(Closed):
    """One thing that is wrong with a request."""

    row: int | None
    column: str | None
    problem: str


class Problem(Closed):
    """An error in the form of RFC 9457, with every bad value of the request."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Mistake]


class Health(BaseModel):
    """Which model is served, what it was trained on, and how good it is."""

    status: str
    problem: str | None
    model: str
    metrics: dict[str, float | None]


class Options(BaseModel):
    """What the query string may hold."""

    explain: Annotated[bool, Field(description=EXPLAIN)] = False


def describe_api(model: Model, reader: RequestReader) -> dict[str, Any]:
    """Return the OpenAPI document of the service with a model."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    statuses = ("400", "405", "413", "415", "422", "500", "503")
    api = OpenAPI(
        __name__,
        info=Info(title="Predictions", version="1", description=DESCRIPTION),
        servers=[Server(url="./")],  # right behind a path prefix, too
        security_schemes={},
        responses={status: {"content": content} for status in statuses},
        validation_error_model=Problem,
        doc_ui=False,
    )
    Request = describe_request(model, reader)
    Answer = describe_answer(model)

    @api.post("/predict", operation_id="predict", responses={"200": Answer})
    def predict(body: Request, query: Options) -> None:  # type: ignore[valid-type]
        """Predict for one row, or for each row of a list."""

    @api.get("/health", operation_id="health", responses={"200": Health})
    def health() -> None:
        """Report which model is served, and how good it is."""

    return api.api_doc


def describe_request(model: Model, reader: RequestReader) -> Any:
    """Return the pydantic model of a request."""
    unread = [*model.table.unused, model.table.target.name]
    row: dict[str, Any] = dict.fromkeys(unread, NotRequired[Any])
    for column in reader.columns:
        kind = Annotated[Any, WithJsonSchema(describe_column(column))]
        row[column.name] = NotRequired[kind] if column.nullable else kind

    Row: Any = close("Row", row)
    rows = Annotated[list[Row], Field(min_length=1, max_length=reader.max_rows)]
    Request: Any = create_model("Request", __base__=Closed, features=(Row | rows, ...))
    examples = {"one row": model.example, "two rows": [model.example, model.example]}
    Request.model_config["openapi_extra"] = {
        "examples": {
            name: {"value": {"features": features}}
            for name, features in examples.items()
        }
    }
    return Request


def describe_column(column: Column) -> dict[str, Any]:
    """Return the JSON schema of the values of a column."""
    about = [column.description or column.name]
    missing = [None] * column.nullable
    types = TYPES[column.kind] + ["null"] * column.nullable
    schema: dict[str, Any] = {"anyOf": [{"type": each} for each in types]}
    if column.kind == "boolean":
        texts = [*column.spelling.true, *column.spelling.false]
        bits = [int(text) for text in texts if text in ("0", "1")]
        schema["enum"] = [True, False, *bits, *texts, *missing]
    elif column.kind == "date":
        spelled = {"enum": [*column.spelling.missing, None]}
        dates = {"type": "string", "format": "date"}
        schema["anyOf"] = [dates, spelled] if column.nullable else [dates]
        about += [f"between {column.minimum} and {column.maximum}"]
        about += [f"or as {form}" for form in column.spelling.date_formats]
    elif column.categories:
        name = "enum" if column.is_closed else "examples"
        schema[name] = [*column.categories, *missing]
    elif column.kind != "category":
        limits = {"minimum": column.minimum, "maximum": column.maximum}
        schema |= {name: limit for name, limit in limits.items() if limit is not None}
        schema["format"] = "number"  # of the text of a cell
    return {**schema, "description": "; ".join(about)}


def describe_answer(model: Model) -> Any:
    """Return the pydantic model of the answer to one row or to several."""
    answer: dict[str, Any] = {"prediction": float}
    if model.labels:
        share = Annotated[float, Field(ge=0, le=1)]
        answer["prediction"] = Annotated[Any, WithJsonSchema({"enum": model.labels})]
        answer["probabilities"] = close(
            "Probabilities", dict.fromkeys(model.names, share)
        )
    Answer: Any = close("Answer", answer | {"explanation": NotRequired[list[Effect]]})
    Answers: Any = close("Answers", {"predictions": list[Answer]})
    return create_model("Predicted", __base__=RootModel[Answer | Answers])


def close(name: str, fields: dict[str, Any]) -> Any:
    """Return the type of an object with these names and no others.

    It is a TypedDict, because the names may be any text: "Total Charges", "class".
    """
    kind = TypedDict(name, fields)  # type: ignore[misc]
    kind.__pydantic_config__ = Closed.model_config  # type: ignore[attr-defined]
    return kind
