"""What the sample's config.yaml and schema.yaml ask for, for peers that have columns in lists."""

MISSING = ["", "na", "n/a", "nan", "null", "none", "?", "-"]
CATEGORIES = {
    "region": ["North", "South", "East", "West"],
    "plan": ["Basic", "Standard", "Premium"],
    "contract_type": ["Monthly", "Yearly", "Two-year"],
    "churned": ["No", "Yes"],
}
TRUE = ["yes", "true", "y", "t", "on", "1", "1.0"]
FALSE = ["no", "false", "n", "f", "off", "0", "0.0"]
BOOLEANS = {"paperless": dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False)}
NUMBERS = {"monthly_charge": (0, 500), "data_gb": (0, 1000)}
INTEGERS = {"age": (18, 110), "support_calls": (0, 100)}
DATES = ["signup_date", "last_payment_date"]
DATE_FORMATS = ["%Y-%m-%d", "%d/%m/%Y", "%d %b %Y"]
FIRST_DATE, LAST_DATE = "2010-01-01", "2035-12-31"
KEY, TARGET = "customer_id", "churned"
REQUIRED = [KEY, TARGET]
COLUMNS = [
    "customer_id",
    "signup_date",
    "age",
    "region",
    "plan",
    "contract_type",
    "monthly_charge",
    "data_gb",
    "support_calls",
    "paperless",
    "last_payment_date",
    "churned",
]
