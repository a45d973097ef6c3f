"""Small helpers that every part of the project uses."""

import argparse
import hashlib
import json
import logging
import os
import pdb
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import wraps
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


class UserError(Exception):
    """A user's mistake, in one line: what is wrong, where, what to run next."""

    def __init__(self, message: str) -> None:
        """Join the lines of the message."""
        super().__init__(" ".join(message.split()))


def command(main: Callable) -> Callable:
    """Turn a UserError into one line on stderr and exit code 2.

    Ctrl+C exits silently with code 130, as it does in other programs.
    """

    @wraps(main)
    def run() -> None:
        if isinstance(sys.stdout, TextIOWrapper):  # escape what it can't encode
            sys.stdout.reconfigure(errors="backslashreplace")

        try:
            main()
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            if "--debug" in sys.argv:
                pdb.post_mortem(error.__traceback__)
            if not isinstance(error, UserError):
                raise
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return run


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose --help shows the description as it is written."""
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=layout)


def positive_integer(text: str) -> int:
    """Read an option that must be 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def clean_text(text: str) -> str:
    """Return a text in lower case, with single spaces and none around it."""
    return " ".join(text.split()).casefold()


def normalize_text(text: str) -> str:
    """Return a text without spaces around it, its accents in one form (Unicode NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def nearest(name: str, others: Iterable[str]) -> str:
    """Return a hint at the most similar of the other names, or nothing if none is."""
    close = get_close_matches(name, others, n=1)
    return f" (the nearest is {close[0]!r})" if close else ""


def quote_name(name: str) -> str:
    """Return the name of a column or table as SQL has it, whatever its characters."""
    return '"' + name.replace('"', '""') + '"'


def calculate_rmse(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Return the root mean squared error of two arrays of the same shape."""
    errors = np.subtract(actual, predicted, dtype=float)
    return float(np.sqrt(np.mean(errors**2)))


def format_number(value: float | None, like: float | None = None) -> str:
    """Return a number as people write it: 55,384 or 0.0912, with three or more digits.

    It has as many decimals as `like`, a number beside it, if there is one.
    """
    if value is None or np.isnan(value):
        return "not defined"

    size = abs(value if like is None else like)
    if not size or not np.isfinite(size):
        return f"{value:g}"

    decimals = int(np.clip(3 - np.ceil(np.log10(size)), 0, 12))
    return f"{value:z,.{decimals}f}"


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror or error}") from error


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write, which then replaces `path` in one step.

    A reader sees the old file or the new one, never half of it. If the block raises,
    the old file stays. Raises UserError if nothing can be written.
    """
    place = path.resolve()
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            replace_file(temporary, place)
        finally:
            with suppress(OSError):  # a read-only file system
                temporary.unlink(missing_ok=True)


def replace_file(new: Path, old: Path) -> None:
    """Put a new file in the place of the old one.

    The file keeps the old one's mode. If the old one is a symbolic link, its target is
    replaced.
    """
    place = old.resolve()
    with new.open("rb+") as file:
        # Otherwise a power cut may leave the new name without content.
        os.fsync(file.fileno())

    if place.is_file():
        shutil.copymode(place, new)

    new.replace(place)


def append_record(record: dict, file: Path) -> None:
    """Append a line of JSON to a file.

    If an earlier write was interrupted, the line still begins on a new line. A file
    that can't be written is logged, and raises no error.
    """
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        cut = file.exists() and file.read_bytes()[-1:] not in (b"", b"\n")
        with file.open("a", encoding="utf-8", newline="\n") as lines:
            lines.write("\n" * cut + line)
    except OSError as error:
        problem = "can't write %s: %s; the record was %s"
        logging.getLogger(__name__).error(problem, file, error.strerror, line.strip())


def set_up_logging(file: Path | None) -> None:
    """Log to the console and to a file, which is rotated."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if file:
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(
                file, maxBytes=1_000_000, backupCount=5, encoding="utf-8", delay=True
            )
        )

    logging.raiseExceptions = False  # a full disk is reported once, not by each line
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        handlers=handlers,
    )
