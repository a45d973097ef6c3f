"""Describe the API as an OpenAPI document, made by flask-openapi3 and pydantic.

It depends on the model that is served, so it is made when somebody asks for it. The
requests themselves are read by `request_validation`, which is faster.
"""

from typing import Annotated, Any, Literal

from flask_openapi3 import Info, OpenAPI, Server
from pydantic import BaseModel, Field, RootModel, create_model

from ..prediction import Model
from ..schema import Column
from . import TITLE
from .request_validation import Problem, RequestReader

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


class Effect(BaseModel):
    """The effect of one column on an answer."""

    column: str
    value: Any
    effect: float


class ProblemDetails(BaseModel):
    """An error in the form of RFC 9457, with every bad value of the request."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Problem]


class Health(BaseModel):
    """Which model is served, what it was trained on, and how good it is."""

    status: str
    problem: str | None
    file: dict[str, str]
    model: str
    task: str
    target: str
    data: dict[str, Any]
    metrics: dict[str, float | None]


class Options(BaseModel):
    """What the query string may hold."""

    explain: bool = Field(False, description=EXPLAIN)


def describe_api(model: Model, reader: RequestReader) -> dict:
    """Return the OpenAPI document of the service with a model."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    content = {"application/problem+json": {"schema": schema}}
    statuses = ("400", "405", "413", "415", "422", "500", "503")
    api = OpenAPI(
        __name__,
        info=Info(title=TITLE, version="1", description=DESCRIPTION),
        servers=[Server(url="./")],  # also correct behind a path prefix
        responses={status: {"content": content} for status in statuses},
        validation_error_model=ProblemDetails,
        doc_ui=False,
    )
    Request, Answer = _describe_request(model, reader), _describe_answer(model)

    @api.post("/predict", operation_id="predict", responses={"200": Answer})
    def predict(body: Request, query: Options) -> None:  # type: ignore[valid-type]
        """Predict for one row, or for each row of a list."""

    @api.get("/health", operation_id="health", responses={"200": Health})
    def health() -> None:
        """Report which model is served, and how good it is."""

    description = api.api_doc
    del description["components"]["securitySchemes"]  # empty; it would show a login

    return description


def _describe_request(model: Model, reader: RequestReader) -> Any:
    """Return the pydantic model of a request."""
    read = {column.name: describe_column(column) for column in reader.columns}
    row: dict = {"properties": {name: {} for name in model.table.unused} | read}
    if required := [each.name for each in reader.columns if not each.nullable]:
        row["required"] = required

    closed: Any = {"extra": "forbid"}  # other names are refused
    Row: Any = create_model("Row", __config__=closed | {"json_schema_extra": row})
    some = Field(min_length=1, max_length=reader.max_rows)
    example = {"features": model.example}

    return create_model(
        "Request",
        __config__=closed | {"openapi_extra": {"example": example}},
        features=Row | Annotated[list[Row], some],
    )


def describe_column(column: Column) -> dict:
    """Return the JSON schema of the values of a column.

    It lists what a request may send: typed values, and texts as the files spell them.
    """
    spelling = column.spelling
    about = [column.description or column.name]
    missing, null = [None] * column.nullable, [{"type": "null"}] * column.nullable
    schema: dict = {}
    if column.kind == "boolean":
        texts = [*spelling.true, *spelling.false]
        bits = [int(text) for text in texts if text in ("0", "1")]
        schema["enum"] = [True, False, *bits, *texts, *missing]
    elif column.categories and column.is_closed:
        schema["enum"] = [*column.categories, *missing]
    elif column.kind == "category":
        schema["anyOf"] = [{"type": "number"}, {"type": "string"}, *null]
    elif column.kind == "date":
        absent = [{"enum": [*spelling.missing, None]}] * column.nullable
        schema["anyOf"] = [{"type": "string", "format": "date"}, *absent]
        about += [f"between {column.minimum} and {column.maximum}"]
        about += [f"or as {form}" for form in spelling.date_formats]
    else:
        text = {"type": "string", "format": "number"}
        schema["anyOf"] = [{"type": column.kind}, text, *null]
        schema |= {"minimum": column.minimum, "maximum": column.maximum}

    return {**schema, "description": "; ".join(about)}


def _describe_answer(model: Model) -> Any:
    """Return the pydantic model of the answer to one row or to several."""
    fields: dict = {"prediction": float, "explanation": (list[Effect], [])}
    if model.labels:
        fields["prediction"] = Literal[*model.labels]
        fields["probabilities"] = dict[str, float]

    Answer: Any = create_model("Answer", **fields)
    Answers: Any = create_model("Answers", predictions=list[Answer])

    return create_model("Predicted", __base__=RootModel[Answer | Answers])
