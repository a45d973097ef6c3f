"""Describe the API as an OpenAPI document, made by flask-openapi3 and pydantic.

It depends on the model that is served, so it is made when somebody asks for it. The
requests themselves are read by `request_validation`, which is faster.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from flask_openapi3 import Info, OpenAPI, Server
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
    create_model,
)

from ..prediction import Model
from ..schema import Column
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
replaced at a time, so what columns do together is not seen."""


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
    problem = {"content": {"application/problem+json": {"schema": schema}}}
    api = OpenAPI(
        __name__,
        info=Info(title="Predictions", version="1", description=DESCRIPTION),
        servers=[Server(url="./")],  # right behind a path prefix, too
        security_schemes={},
        responses=dict.fromkeys(["400", "405", "413", "415", "422", "503"], problem),
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


def describe_request(model: Model, reader: RequestReader) -> type[BaseModel]:
    """Return the pydantic model of a request."""
    row = dict.fromkeys(model.table.unused, Any)
    row[model.table.target.name] = Any
    required = []
    for column in reader.columns:
        row[column.name] = Annotated[Any, WithJsonSchema(describe_column(column))]
        if not column.nullable:
            required.append(column.name)

    Row = close("Row", row, required)
    rows = Annotated[list[Row], Field(min_length=1, max_length=reader.max_rows)]
    examples = [model.example, [model.example, model.example]]
    features = Annotated[Row | rows, Field(examples=examples)]
    return close("Request", {"features": features}, ["features"])


def describe_column(column: Column) -> dict[str, Any]:
    """Return the JSON schema of the values of a column."""
    spelling = column.spelling
    limits = {"minimum": column.minimum, "maximum": column.maximum}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    number_text = {"type": "string", "format": "number"}
    texts = [*spelling.true, *spelling.false]
    bits = [int(text) for text in texts if text in ("0", "1")]
    kinds: list[dict[str, Any]]
    match column.kind:
        case "number" | "integer":
            kinds = [{"type": column.kind, **limits}, number_text]
        case "boolean":
            kinds = [{"enum": [True, False, *bits, *texts]}]
        case "date":
            forms = " or ".join(["ISO 8601", *spelling.date_formats])
            between = " to ".join(map(str, limits.values()))
            about = f"{forms}; {between}" if limits else forms
            kinds = [{"type": "string", "format": "date", "description": about}]
        case "category":
            kinds = [{"type": "string"}, {"type": "number"}]
    if column.categories and column.is_closed:
        kinds = [{"enum": list(column.categories)}]
    if column.nullable:
        kinds.append({"type": "null"})

    description = column.description or column.name
    examples = list(column.categories)
    return {"anyOf": kinds, "description": description, "examples": examples}


def describe_answer(model: Model) -> type[BaseModel]:
    """Return the pydantic model of the answer to one row or to several."""
    fields: dict[str, Any] = {"prediction": float}
    if model.labels:
        fields["prediction"] = Annotated[Any, WithJsonSchema({"enum": model.labels})]
        shares = dict.fromkeys(model.names, Annotated[float, Field(ge=0, le=1)])
        fields["probabilities"] = close("Probabilities", shares, model.names)
    Answer = close("Answer", fields | {"explanation": list[Effect]}, fields)
    Answers = close("Answers", {"predictions": list[Answer]}, ["predictions"])
    return create_model("Predicted", __base__=RootModel[Answer | Answers])


def close(name: str, fields: dict[str, Any], required: Iterable[str]) -> Any:
    """Return a pydantic model with these fields and no others, whatever their names."""
    aliased: dict[str, Any] = {}
    for number, (field, kind) in enumerate(fields.items()):
        default = {} if field in required else {"default_factory": list}  # not shown
        aliased[f"field_{number}"] = kind, Field(alias=field, **default)
    return create_model(name, __base__=Closed, **aliased)
