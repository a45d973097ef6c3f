"""What a run needs: a record, a lock, room for its files, and new files to wait for."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from glob import escape, has_magic
from pathlib import Path
from tempfile import TemporaryDirectory

import watchfiles
from filelock import AcquireReturnProxy, FileLock, Timeout

from ..utils import UserError, append_record, writing

QUIET = 2_000  # milliseconds without a change until a new file counts as complete
COUNTS = ("rows_read", "rows_kept", "rows_rejected", "rows_duplicate")

log = logging.getLogger("pipeline")


@contextmanager
def record_run(output: Path, logs: Path, dry: bool = False) -> Iterator[dict]:
    """Yield the record of a run to fill in, and write it at the end, whatever happens.

    Raises UserError, and writes nothing, while another run is going on.
    """
    start = datetime.now(UTC)
    record: dict = {
        "time": start.isoformat(timespec="seconds"),
        "status": "failed",
        **dict.fromkeys(COUNTS, 0),
        "output": str(output),
    }
    if dry:
        yield record
        return

    with _take_lock(logs):
        try:
            yield record
            record["status"] = "ok"
        except BaseException as error:  # Ctrl+C, too
            record["error"] = str(error) or type(error).__name__
            raise
        finally:
            seconds = (datetime.now(UTC) - start).total_seconds()
            record["seconds"] = round(seconds, 3)
            append_record(record, logs / "pipeline.jsonl")


def _take_lock(logs: Path) -> AcquireReturnProxy:
    """Take the lock of the pipeline, which the system releases when a process dies."""
    file = logs / "pipeline.lock"
    with writing(file):
        try:
            return FileLock(file).acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another run is in progress; it holds the lock {file}"
            ) from error


@contextmanager
def make_room(output: Path, dry: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside the output, in a dry run elsewhere; remove it later.

    What a killed run left there is removed first. Raises UserError if nothing can be
    written.
    """
    with writing(output):
        place, where = output.resolve(), None
        if not dry:
            where = place.parent
            where.mkdir(parents=True, exist_ok=True)
            remove_leftovers(place)

        prefix = f".{place.name}."
        with TemporaryDirectory(
            ".tmp", prefix, where, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)


def remove_leftovers(output: Path) -> None:
    """Remove what interrupted runs left beside the output."""
    output = output.resolve()
    for left in output.parent.glob(f".{escape(output.name)}.*.tmp"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def follow(pattern: str, run: Callable) -> None:
    """Run now, and again whenever a matching file is new or changed, and complete.

    A file is complete if nothing has changed for two seconds. If a run fails, its error
    is logged and the next change is waited for.
    """
    folder, name = Path(pattern).parent, Path(pattern).name
    while has_magic(str(folder)):
        folder = folder.parent

    if not folder.is_dir():
        raise UserError(f"{pattern} is in no folder that can be watched")

    log.info("watching %s; stop with Ctrl+C", folder)
    is_due = True

    for changes in watchfiles.watch(
        folder,
        watch_filter=lambda _, path: fnmatch(Path(path).name, name),
        recursive=has_magic(str(Path(pattern).parent)),
        force_polling=True,  # also works on network drives, and without inotify
        rust_timeout=QUIET,
        yield_on_timeout=True,
    ):
        if is_due and not changes:
            try:
                run()
            except UserError as error:
                log.error("%s", error)

        is_due = bool(changes)
