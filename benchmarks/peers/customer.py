"""One row of the sample table, as FastAPI's users write it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Customer(BaseModel):
    """A customer; any value may be missing."""

    model_config = ConfigDict(extra="forbid")

    signup_date: datetime | None = None
    age: Annotated[int, Field(ge=18, le=110)] | None = None
    region: Literal["North", "South", "East", "West"] | None = None
    plan: Literal["Basic", "Standard", "Premium"] | None = None
    contract_type: Literal["Monthly", "Yearly", "Two-year"] | None = None
    monthly_charge: Annotated[float, Field(ge=0, le=500)] | None = None
    data_gb: Annotated[float, Field(ge=0, le=1000)] | None = None
    support_calls: Annotated[int, Field(ge=0, le=100)] | None = None
    paperless: bool | None = None
    last_payment_date: datetime | None = None


class Body(BaseModel):
    """What is sent: one customer, or a list of them."""

    features: Customer | list[Customer]

    def rows(self):
        """Return the customers as plain rows."""
        features = self.features if isinstance(self.features, list) else [self.features]
        return [customer.model_dump() for customer in features]
