"""What a run needs that may be killed, or meet another run, or wait for files."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from glob import escape, has_magic
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import watchfiles
from filelock import FileLock, Timeout

from ..utils import UserError, append_record
from .raw_data import find_files

QUIET = 2_000  # milliseconds without a change after which a new file counts as complete
COUNTS = ("rows_read", "rows_kept", "rows_rejected", "rows_duplicate")

log = logging.getLogger("pipeline")


@contextmanager
def record_run(
    output: Path, logs: Path, dry: bool = False
) -> Iterator[dict[str, object]]:
    """Give the record of a run to fill in, and write it down in the end, also if the run failed.

    Raises UserError, and writes nothing, while another run is going on.
    """
    start, now = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, object] = {"time": now, "status": "failed"}
    record |= dict.fromkeys(COUNTS, 0) | {"output": str(output)}
    if dry:
        yield record
        return
    lock = FileLock(
        logs / "pipeline.lock"
    )  # the system lets go of it when a process dies
    try:
        logs.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another run is going on; it holds {lock.lock_file}"
        ) from error
    except OSError as error:
        raise UserError(
            f"can't write {lock.lock_file}: {error.strerror or error}"
        ) from error
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


@contextmanager
def make_room(output: Path, dry: bool = False) -> Iterator[Path]:
    """Give an empty folder beside the output, for a dry run elsewhere; remove it in the end.

    What a killed run left there is removed first; an output that it had moved away comes back.
    """
    try:
        if dry:
            with TemporaryDirectory() as temporary:
                yield Path(temporary)
            return
        output.parent.mkdir(parents=True, exist_ok=True)
        heal(output)
        folder = output.with_name(f".{output.name}.{os.getpid()}.tmp")
        folder.mkdir()
        try:
            yield folder
        finally:
            heal(output)
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"can't write {output}: {reason}") from error


def heal(output: Path) -> None:
    """Remove what killed runs left beside the output, and bring back what they had moved away."""
    for left in output.parent.glob(f".{escape(output.name)}.*.tmp"):
        old = left / "old"
        if old.exists() and not output.exists():
            old.replace(output)
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def replace(new: Path, output: Path) -> None:
    """Put a new file, or a folder of parts, in the place of the old output."""
    if output.is_dir():
        names = [file.name for file in output.iterdir()]
        if not names or not all(
            re.fullmatch(r"part-\d+\.parquet", name) for name in names
        ):
            raise UserError(
                f"can't write {output}: a folder of other files stands there"
            )
    for file in new.iterdir() if new.is_dir() else [new]:
        with file.open("rb+") as written:
            os.fsync(
                written.fileno()
            )  # else a power cut may leave the new name with no content
    if output.is_dir() or (new.is_dir() and output.exists()):
        output.replace(new.with_name("old"))
    new.replace(output)


def follow(pattern: str, run: Callable[[], object]) -> None:
    """Run now, and again whenever a file that matches is new or changed, and complete."""
    folder = Path(pattern).parent
    while has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir() or Path(pattern).is_dir():
        raise UserError(f"{pattern} names no files in a folder that can be watched")
    log.info("watching %s; stop with Ctrl+C", folder)
    done: set[tuple[Path, int, int]] = set()
    for _ in watchfiles.watch(
        folder, step=QUIET, rust_timeout=QUIET, yield_on_timeout=True
    ):
        if not look(pattern) - done:
            continue
        done = wait_for_quiet(pattern)
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


def wait_for_quiet(pattern: str) -> set[tuple[Path, int, int]]:
    """Wait until the files that match are the same as a while ago; return what they are then."""
    before, now = None, look(pattern)
    while now != before:
        time.sleep(QUIET / 1000)
        before, now = now, look(pattern)
    return now
