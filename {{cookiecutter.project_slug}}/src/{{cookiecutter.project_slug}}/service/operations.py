"""What keeps the service running: it takes new model files as they come, and logs each request."""

import logging
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any

from werkzeug.exceptions import ServiceUnavailable

from ..config import Config, ServingConfig
from ..prediction import Model, load_model
from ..schema import Table, read_columns
from ..utils import UserError
from .request_validation import RequestReader

log = logging.getLogger(__name__)
is_id = re.compile(r"[\w-]{1,64}", re.ASCII).fullmatch


class ModelFile:
    """The model in a file. A new file takes its place by itself, if it can be served."""

    def __init__(self, path: Path, config: ServingConfig) -> None:
        """Load the file, if there is one."""
        self.path, self.config = path, config
        self.served: tuple[Model, RequestReader] | None = None
        self.problem: str | None = None
        self.date = ""  # of the file that is served
        self.state: object = ()
        self.lock = Lock()
        self.look()

    def get(self) -> tuple[Model, RequestReader]:
        """Return the model and its reader, after a look at the file if the last was long ago."""
        if time.monotonic() >= self.next_look and self.lock.acquire(blocking=False):
            try:  # the other threads do not wait: they have the old model
                self.look()
            finally:
                self.lock.release()
        if self.served is None:
            raise ServiceUnavailable(self.problem)
        return self.served

    def look(self) -> None:
        """Load the file if it is another one than at the last look; if that fails, say why."""
        self.next_look = time.monotonic() + 1
        try:
            found = self.path.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            state = None
        if state == self.state:
            return
        self.state = state
        try:
            model = load_model(self.path)
            old = interface_of(self.served[0].table if self.served else model.table)
            if names := sorted({name for name, _ in old ^ interface_of(model.table)}):
                changed = ", ".join(names)
                raise UserError(
                    f"{self.path} has other columns ({changed}); restart to serve it"
                )
            self.served, self.problem = (
                (model, RequestReader(model.table, self.config)),
                None,
            )
            self.date = datetime.fromtimestamp(found.st_mtime, UTC).isoformat(
                timespec="seconds"
            )
            log.info("serving %s of %s, %s", self.path, self.date, model.sha256)
        except UserError as error:
            self.problem = str(error)
            log.error(
                "%s%s", error, "; the old model is served on" if self.served else ""
            )


def check_columns(path: Path, config: Config) -> None:
    """Refuse a file that can't be served, or has other columns than schema.yaml, if that is there.

    An image of the service has none: the model file itself says what it takes.
    """
    table = load_model(path).table
    if config.schema_file.exists():
        names = {
            *table.unused,
            *(column.name for column in (*table.features, table.target)),
        }
        if differing := names ^ {
            column.name for column in read_columns(config.schema_file, config.table)
        }:
            told = ", ".join(sorted(differing))
            raise UserError(
                f"{path} has other columns than schema.yaml ({told}); run: uv run train"
            )


def interface_of(table: Table) -> set[tuple[str, str]]:
    """Return what clients rely on: a model that changes it needs a restart."""
    columns = (*table.features, table.target)
    return {("task", table.task), *((column.name, column.kind) for column in columns)}


class AccessLog:
    """Gives each request an id, sent back as X-Request-ID, and writes one line on it."""

    def __init__(
        self, application: Callable[..., Iterable[bytes]], enabled: bool
    ) -> None:
        """Wrap a WSGI application."""
        self.application, self.enabled = application, enabled
        self.process, self.numbers = token_hex(4), count(1)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        begin = time.perf_counter()
        name = environ.get("HTTP_X_REQUEST_ID", "")
        if not is_id(name):
            name = f"{self.process}-{next(self.numbers)}"

        def answer(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if self.enabled:
                milliseconds = (time.perf_counter() - begin) * 1000
                environ["wsgi.errors"].write(
                    f"{time.strftime('%Y-%m-%d %H:%M:%S')} {name} {environ['REQUEST_METHOD']} "
                    f"{environ['PATH_INFO']!r:.200} {status[:3]} {milliseconds:.1f} ms "
                    f"{environ.get('rows', '-')} rows\n"
                )
            return start_response(status, [*headers, ("X-Request-ID", name)], *rest)

        return self.application(environ, answer)
