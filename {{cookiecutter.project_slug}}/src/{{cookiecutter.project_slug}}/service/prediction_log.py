"""Keep what was served, one JSON line for each row, to compare it by `uv run drift`."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LARGEST_FILE, KEPT_FILES = 100_000_000, 5  # bytes; older files end in .1 to .5

log = logging.getLogger(__name__)


def log_predictions(
    file: Path,
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    model: str,
) -> None:
    """Append rows and their answers. `model` is the hash of the model file.

    A file that can't be written is logged and stops no request.
    """
    time = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [
        json.dumps(
            {"time": time, "model": model[:8], "features": dict(row), **answer},
            ensure_ascii=False,
            default=str,
        )
        for row, answer in zip(rows, answers, strict=True)
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _rotate(file)
        with file.open("a", encoding="utf-8", newline="\n") as log_file:
            log_file.write("\n".join(lines) + "\n")
    except OSError as error:
        log.error("can't write %s: %s", file, error.strerror or error)


def _rotate(file: Path) -> None:
    """Give a large file another name; of the older ones some are kept."""
    if not file.exists() or file.stat().st_size < LARGEST_FILE:
        return
    names = [file, *(Path(f"{file}.{number}") for number in range(1, KEPT_FILES + 1))]
    for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
        if newer.exists():
            newer.replace(older)
