"""A run: its record, its lock, room for its files, and the parts that it processes.

A part is a batch of rows that was processed. Parts can be made one after the other or
in parallel: what is written from them, in their order, is the same.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from glob import escape, has_magic
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import watchfiles
from filelock import AcquireReturnProxy, FileLock, Timeout
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..data_preprocessing import EMPTIED, OUT_OF_SCOPE
from ..utils import UserError, append_record, write_atomically, writing
from .raw_csv import RawData

QUIET = 2_000  # milliseconds without a change until a new file counts as complete
PARTS_BETWEEN_LOGS = 50
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


def make_part(raw: RawData, process: Callable) -> tuple:
    """Process a batch of rows, as `transform` does, and count what became of them.

    Returns the counts, the kept rows as a pa.Table, and the rejected rows.
    """
    result = process(raw.rows)
    rejected = _list_rejected(raw, result.rejected)

    reasons = Counter(result.problems["column"] + ": " + result.problems["check"])
    reasons.update(raw.broken["reason"])
    counts = {
        "source": raw.source,
        "rows": len(raw.rows) + len(raw.broken),
        "kept": len(result.kept),
        "rejected": len(rejected),
        "reasons": reasons,
    }

    return counts, pa.Table.from_pandas(result.kept, preserve_index=False), rejected


def _list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what was rejected: its place, the reason, and the cells as they are.

    A malformed line is whole in the last column, `raw`.
    """
    names = ("source", "line", "reason", "raw")
    source, line, reason, text = (name_new(name, raw.rows) for name in names)

    places = {source: raw.source, line: reasons.index, reason: reasons}
    rows = pd.DataFrame(places).join(raw.rows)
    broken = raw.broken.set_axis([source, line, reason, text], axis=1)

    return pd.concat([rows, broken]).sort_values(line, kind="stable")


def name_new(name: str, taken: Iterable) -> str:
    """Return a name for a new column that none of the others has."""
    return name_new(f"{name}_", taken) if name in taken else name


def write_parts(
    parts: Iterable, open_writer: Callable, folder: Path, origin: str
) -> pd.DataFrame:
    """Write the kept and the rejected rows of all parts into two files of the folder.

    Returns the counts, a row for each part. Raises UserError if all parts are empty.
    """
    counts: list[dict] = []
    bar = tqdm(unit=" rows", unit_scale=True, disable=None)
    file = (folder / "rejected").open("w", encoding="utf-8", newline="")

    with bar, logging_redirect_tqdm(), file, ExitStack() as stack:
        for count, kept, rejected in parts:
            if not counts:
                new = open_writer(folder / "kept", kept.schema)
                writer = stack.enter_context(new)

            writer.write_table(kept)
            # With \n at their ends, Python leaves a cell with a \r unquoted.
            rejected.to_csv(file, header=not counts, index=False, lineterminator="\r\n")

            bar.update(count["rows"])
            counts.append(count)
            level = logging.DEBUG if len(counts) % PARTS_BETWEEN_LOGS else logging.INFO
            log.log(level, "part %d: %d rows kept", len(counts), count["kept"])

    if not any(count["rows"] for count in counts):
        raise UserError(f"{origin} has a header but no rows")

    return pd.DataFrame(counts)


def name_cause(reasons: Counter) -> str:
    """Return the most frequent reason why rows in scope were rejected."""
    return next(
        reason
        for reason, _ in reasons.most_common()
        if not reason.startswith(OUT_OF_SCOPE) and not reason.endswith(EMPTIED)
    )


def save_rejected(folder: Path, output: Path, counts: pd.DataFrame) -> None:
    """Put the rejected rows of all parts in their place."""
    with write_atomically(output) as file:
        shutil.copyfile(folder / "rejected", file)
    log.info("rejected: %d rows to %s", counts["rejected"].sum(), output)
