"""Log each served row with its prediction as one line of JSON, for `uv run drift`."""

import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pydantic_core import to_json

LARGEST_FILE, KEPT_FILES = 100_000_000, 5  # bytes; older files end in .1 to .5

log = logging.getLogger(__name__)


def log_predictions(
    file: Path, rows: list[dict], answers: list[dict], model: str
) -> None:
    """Append rows and their answers. `model` is the hash of the model file.

    A file that can't be written is logged and stops no request. It is opened anew each
    time, because another worker may have rotated it.
    """
    time = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [
        to_json({"time": time, "model": model[:8], "features": row, **answer})
        for row, answer in zip(rows, answers, strict=True)
    ]

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size >= LARGEST_FILE:
            handler = RotatingFileHandler(file, backupCount=KEPT_FILES, delay=True)
            handler.doRollover()
        with file.open("ab") as log_file:
            log_file.write(b"\n".join([*lines, b""]))
    except OSError as error:
        log.error("can't write %s: %s", file, error.strerror or error)
