"""What a run needs: a record, a lock, room for its files, and new files to wait for."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from glob import escape, has_magic
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import watchfiles
from filelock import FileLock, Timeout
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..utils import UserError, append_record
from .parts import Part
from .raw_data import find_files

QUIET = 2_000  # milliseconds without a change after which a new file counts as complete
NEWS = 30  # seconds between two lines in the log, where no terminal shows a bar
COUNTS = ("rows_read", "rows_kept", "rows_rejected", "rows_duplicate")

log = logging.getLogger("pipeline")


@contextmanager
def record_run(
    output: Path, logs: Path, dry: bool = False
) -> Iterator[dict[str, object]]:
    """Give the record of a run to fill in, and write it at the end, whatever happens.

    Raises UserError, and writes nothing, while another run is going on.
    """
    start, now = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, object] = {"time": now, "status": "failed"}
    record |= dict.fromkeys(COUNTS, 0) | {"output": str(output)}
    if dry:
        yield record
        return
    lock = take_lock(logs)
    try:
        yield record
        record["status"] = "ok"
    except Exception as error:
        record["error"] = str(error)
        raise
    finally:
        record["seconds"] = round(time.perf_counter() - start, 3)
        append_record(record, logs / "pipeline.jsonl")
        lock.release()


def take_lock(logs: Path) -> FileLock:
    """Take the lock of the pipeline, which the system releases when a process dies."""
    lock = FileLock(logs / "pipeline.lock")
    try:
        logs.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another run is going on; it holds {lock.lock_file}"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"can't write {lock.lock_file}: {reason}") from error
    return lock


@contextmanager
def make_room(output: Path, dry: bool = False) -> Iterator[Path]:
    """Give an empty folder beside the output, in a dry run elsewhere; remove it later.

    What a killed run left there is removed first. Raises UserError if nothing can be
    written.
    """
    try:
        if dry:
            with TemporaryDirectory() as temporary:
                yield Path(temporary)
            return
        place = output.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place)
        folder = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"can't write {output}: {reason}") from error


def remove_leftovers(output: Path) -> None:
    """Remove what killed runs left beside the output."""
    output = output.resolve()
    for left in output.parent.glob(f".{escape(output.name)}.*.tmp"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def collect(parts: Iterable[Part], log: logging.Logger) -> list[Part]:
    """Return the parts in their order; show the progress in a bar or in the log."""
    done, rows, next_news = [], 0, time.monotonic() + NEWS
    bar = tqdm(unit=" rows", unit_scale=True, disable=None)
    with bar, logging_redirect_tqdm():
        for part in parts:
            done.append(part)
            rows += part.rows
            log.debug("part %d: %d of %d rows kept", part.number, part.kept, part.rows)
            bar.update(part.rows)
            if bar.disable and time.monotonic() > next_news:
                log.info("%d rows so far", rows)
                next_news = time.monotonic() + NEWS
    return sorted(done, key=lambda part: part.number)


def follow(pattern: str, run: Callable[[], object]) -> None:
    """Run now, and again when a file that matches is new or changed, and complete."""
    folder = Path(pattern).parent
    while has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir() or Path(pattern).is_dir():
        raise UserError(f"{pattern} names no files in a folder that can be watched")
    log.info("watching %s; stop with Ctrl+C", folder)
    # Polling also works on network drives, and where inotify is used up.
    changes = watchfiles.watch(folder, force_polling=True)
    done: set[tuple[Path, int, int]] = set()
    for _ in chain([set()], changes):
        while (found := look(pattern)) - done:
            time.sleep(QUIET / 1000)
            if look(pattern) != found:
                continue
            done = found
            try:
                run()
            except UserError as error:
                log.error("%s", error)


def look(pattern: str) -> set[tuple[Path, int, int]]:
    """Return the files that match, with the size of each and when it was changed."""
    try:
        found = [(path, path.stat()) for path in find_files(pattern)]
    except (UserError, FileNotFoundError):  # there is none yet, or one has just gone
        return set()
    return {(path, state.st_size, state.st_mtime_ns) for path, state in found}
