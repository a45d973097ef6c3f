"""What the notebooks found out, as tested modules that every command shares."""

import os

# Before scikit-learn is imported: its threads shall soon sleep when they wait for each other, not
# spin. Else training takes a minute instead of a second where other programs keep the cores busy.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ["ORT_DISABLE_TELEMETRY"] = (
    "1"  # onnxruntime would tell its maker how it is used
)
