"""Serve the newest model, and log what it predicts.

A new model file is loaded as soon as it is in place.
"""

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pydantic_core import to_json
from werkzeug.exceptions import ServiceUnavailable

from ..config import Config, ServingConfig
from ..prediction import Model, load_model
from ..schema import read_columns
from ..utils import UserError
from .request_validation import RequestReader

SECONDS_BETWEEN_LOOKS = 1
LARGEST_LOG, KEPT_LOGS = 100_000_000, 5  # bytes; older files end in .1 to .5

log = logging.getLogger(__name__)


class ModelFile:
    """The model in a file. A new file replaces it, if it can be served."""

    def __init__(self, path: Path, config: ServingConfig) -> None:
        """Load the file, if there is one."""
        self.path = path
        self.config = config
        self.served: tuple[Model, RequestReader] | None = None
        self.problem: str | None = None
        self.date = ""  # of the served file
        self._modified = -1  # before the first look
        self.look()

    def get(self) -> tuple[Model, RequestReader]:
        """Return the model and the reader of its requests.

        Looks at the file first, at most once a second. Answers 503 if there is no
        model.
        """
        if time.monotonic() >= self._next_look:
            self.look()
        if self.served is None:
            raise ServiceUnavailable(self.problem)
        return self.served

    def look(self) -> None:
        """Load the file if it has changed.

        If the new file can't be served, the previous model keeps serving, and `problem`
        says why.
        """
        self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
        try:
            modified = self.path.stat().st_mtime_ns
        except OSError:
            modified = 0

        if modified == self._modified:
            return

        self._modified = modified
        try:
            model = load_model(self.path)
            if self.served:
                columns = self.served[0].table.columns
                _check_columns(self.path, model.table.columns, columns, "restart")
        except UserError as error:
            self.problem = str(error)
            previous = "; the previous model keeps serving" if self.served else ""
            log.error("%s%s", error, previous)
            return

        self.served = model, RequestReader(model.table, self.config)
        self.problem = None
        self.date = datetime.fromtimestamp(modified // 10**9, UTC).isoformat()
        log.info("serving %s of %s, %s", self.path, self.date, model.sha256)


def check_model(path: Path, config: Config) -> None:
    """Refuse a model file that can't be served, or has other columns than schema.yaml.

    An image of the service has no schema.yaml: the model file says what it takes.
    """
    columns = load_model(path).table.columns
    if config.schema_file.exists():
        expected = read_columns(config.schema_file, config.table)
        _check_columns(path, columns, expected, "run: uv run train")


def _check_columns(
    path: Path, columns: Iterable, expected: Iterable, advice: str
) -> None:
    """Raise UserError if columns differ from those that are expected."""
    kinds = {(column.name, column.kind) for column in columns}
    differing = kinds ^ {(column.name, column.kind) for column in expected}
    if differing:
        names = ", ".join(sorted({name for name, _ in differing}))
        raise UserError(f"{path} has other columns than expected ({names}); {advice}")


def log_predictions(
    file: Path, rows: list[dict], answers: list[dict], model: str
) -> None:
    """Append rows and their answers, as lines of JSON, for `uv run drift`.

    `model` is the hash of the model file. A log that can't be written stops no request.
    It is opened anew each time, because another worker may have rotated it.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [
        to_json({"time": now, "model": model[:8], "features": row, **answer})
        for row, answer in zip(rows, answers, strict=True)
    ]

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size >= LARGEST_LOG:
            RotatingFileHandler(file, backupCount=KEPT_LOGS, delay=True).doRollover()
        with file.open("ab") as log_file:
            log_file.write(b"\n".join([*lines, b""]))
    except OSError as error:
        log.error("can't write %s: %s", file, error)
