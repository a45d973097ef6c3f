"""A raw table of any length: rows drawn from the sample table, its dirt among them, with new keys."""

from hashlib import sha256
from random import Random

CHUNK = 100_000
DUPLICATES = 0.01  # of the rows: they have the key of an earlier row, and other values
KEYS, STEP = 100_000_000, 61_803_399  # no common factor: the keys are all different, in no order


def make_raw_table(sample, rows, folder):
    """Write a table of so many rows as CSV, always the same; one that is there is kept."""
    content = sample.read_bytes()
    file = folder / f"raw-{rows}-{sha256(content).hexdigest()[:8]}.csv"
    if not file.exists():
        header, *lines = content.decode("utf-8").splitlines()
        cells = [line.partition(",")[2] for line in lines]  # all but the key, the first column
        temporary = file.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8", newline="") as output:
            output.write(header + "\n")
            output.writelines(draw(cells, rows))
        temporary.replace(file)
    return file


def draw(cells, rows):
    """Yield the lines of the table, many in one text."""
    rng = Random(0)
    for start in range(0, rows, CHUNK):
        places = range(start, min(start + CHUNK, rows))
        owners = [int(rng.random() * i) if rng.random() < DUPLICATES else i for i in places]
        keys = [owner * STEP % KEYS for owner in owners]
        drawn = rng.choices(cells, k=len(places))
        yield "".join(f"C{key:08d},{rest}\n" for key, rest in zip(keys, drawn, strict=True))
