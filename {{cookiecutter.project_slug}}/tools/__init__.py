"""Commands round the project: no module of it needs them."""
