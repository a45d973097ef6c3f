"""A notebook reads like a script in `git diff`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tools.notebook_text as shown

CELLS = [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Größe\n", "\n", "text"]},
    {
        "cell_type": "code",
        "id": "b",
        "metadata": {"tags": ["parameters"]},
        "source": ["x = 1\n", "y = 2"],
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["hi\n"]}],
    },
    {"cell_type": "raw", "id": "c", "metadata": {}, "source": "one string"},
]
NOTEBOOK = json.dumps({"cells": CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
SCRIPT = """# %% [markdown]
# # Größe
#
# text

# %% {"tags": ["parameters"]}
x = 1
y = 2

# %% [raw]
# one string

# metadata: {}
"""


def test_a_notebook_reads_like_a_script() -> None:
    assert shown.notebook_text(NOTEBOOK) == SCRIPT


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": [1]}', f"<<<<<<< HEAD\n{NOTEBOOK}"])
def test_what_is_no_notebook_is_shown_as_it_is(text: str) -> None:
    assert shown.notebook_text(text) == text


@pytest.mark.parametrize("content", [NOTEBOOK.encode(), b"\xff\xfe broken"])
def test_git_gets_utf_8_and_no_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    command = [sys.executable, shown.__file__, str(tmp_path / "a.ipynb")]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout.decode() in (SCRIPT, "\ufffd\ufffd broken")
