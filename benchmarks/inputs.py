"""What the benchmarks run on: a generated project, tables, and environments for peers."""

import argparse
import os
import subprocess
import sys
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
TEMPLATE, PEERS = HERE.parent, HERE / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "template-benchmarks"
COOKIECUTTER = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config"]
ROUNDS = 3

DUPLICATES = 0.01  # share of the rows with the key of an earlier row
KEYS, STEP = 100_000_000, 61_803_399  # no common factor: all keys differ, in no order
MISSING = 0.05  # share of the simulated rows with a missing value
GAPS = ("age", "region", "plan", "data_gb", "support_calls")


def read_options(description):
    """Read the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=layout)
    about = "small data, one round, the cheapest peer; writes nothing"
    parser.add_argument("--quick", action="store_true", help=about)
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    return options


def run(*command, folder, **variables):
    """Run a command, and return its output; if it fails, exit with the output."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout}")
    return result.stdout


@contextmanager
def workspace():
    """Give a folder for one run, on the disk of the caches."""
    for name in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):  # those of this script
        os.environ.pop(name, None)
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as folder:
        yield Path(folder)


def bake(folder):
    """Generate a project and install what it needs to run."""
    run(*COOKIECUTTER, TEMPLATE, folder=folder)
    project = folder / "customer_churn"
    run("uv", "sync", "--quiet", "--no-dev", folder=project)
    return project


def programs(project):
    """Return the folder of a project's own programs."""
    return project / ".venv" / "bin"


def environment(name, requirements):
    """Create an environment in the cache, or update it; return the folder of its programs."""
    folder = CACHE / name
    if not folder.exists():
        run("uv", "venv", "--quiet", "--python", sys.executable, folder, folder=CACHE)
    install = ("uv", "pip", "install", "--quiet", "--python", folder)
    run(*install, *requirements, folder=CACHE)
    return folder / "bin"


def draw_table(sample, rows):
    """Return a raw CSV of so many rows of the sample table, errors included, with new keys.

    It is always the same, and is kept in the cache.
    """
    header, *lines = sample.read_text(encoding="utf-8").splitlines(keepends=True)
    rests = [line.partition(",")[2] for line in lines]  # without the key, the first column

    def draw():
        yield header
        rng = Random(0)
        for number in range(rows):
            is_duplicate = rng.random() < DUPLICATES
            owner = int(rng.random() * number) if is_duplicate else number
            yield f"C{owner * STEP % KEYS:08d},{rng.choice(rests)}"

    return write_once(f"drawn-{rows}", sample, draw())


def simulate_table(rows):
    """Return a clean CSV of so many new customers, simulated like those of the sample."""
    sys.path.append(str(TEMPLATE / "scripts"))
    import make_customers

    def simulate():
        rng = Random(1)
        for number in range(rows):
            row, _ = make_customers.make_customer(rng, f"C{number:07d}")
            if number == 0:
                yield ",".join(row) + "\n"
            if rng.random() < MISSING:
                row[rng.choice(GAPS)] = ""
            yield ",".join(row.values()) + "\n"

    return write_once(f"simulated-{rows}", Path(make_customers.__file__), simulate())


def write_once(name, source, lines):
    """Write a CSV to the cache, anew if its source has changed, and read it into memory."""
    version = sha256(source.read_bytes()).hexdigest()[:8]
    path = CACHE / f"{name}-{version}.csv"
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        temporary.replace(path)
    with path.open("rb", buffering=0) as file:
        while file.read(2**24):
            pass
    return path
