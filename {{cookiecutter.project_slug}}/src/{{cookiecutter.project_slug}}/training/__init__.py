"""What `uv run train` does: compare, tune, evaluate, export and describe models."""
