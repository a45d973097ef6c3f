"""What the notebooks found out, as tested modules that every command shares."""

import os

# Before scikit-learn is imported: its threads shall sleep while they wait for each other, not spin.
# Else training takes a minute instead of a second where another program keeps the cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
