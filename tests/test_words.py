"""No text that a person reads uses a home-made phrase where the field has a term."""

import re
import subprocess
from pathlib import Path

from conftest import TEMPLATE

TEXTS = {".cfg", ".html", ".ipynb", ".js", ".json", ".md", ".py", ".toml", ".yaml", ".yml"}

# The phrase, and what to write instead. `*` is the rest of a word. Words that are wrong in one
# sense only, such as "spread", "lead" and "sign", are left to the reader.
INSTEAD = {
    "all that is to be known": "what there is to know",
    "are its answers right": "confusion matrix, calibration curve",
    "are no row*": "malformed lines",
    "as it were": "nothing",
    "as they come": "retrain, restart",
    "between which values": "95 % confidence interval",
    "ends with one line": "exits with an error",
    "far out": "outliers",
    "given by the outside": "environment variable, command-line option",
    "gives the target away": "target leakage",
    "guess that looks at": "baseline",
    "hole": "vulnerability, gap",
    "holes": "vulnerabilities, gaps",
    "how it tells the classes apart": "ROC curve, confusion matrix",
    "how many different": "distinct values, cardinality",
    "is blamed": "is the reason",
    "is no row": "a malformed line",
    "is to blame": "is the reason",
    "lead no larger": "tie",
    "learnt": "learned, trained on",
    "listens to": "feature importance; of a server: listens on",
    "looks at no": "baseline",
    "mend*": "fix, fixed",
    "no larger than its": "within one standard deviation",
    "old model is served": "the previous model keeps serving",
    "right among those": "precision",
    "row* it has not seen": "test set",
    "row* that do* not fit": "rejected row",
    "runs that are killed": "interrupted runs",
    "separator sign*": "delimiter",
    "taken for it": "false positive",
    "taken for what": "confusion matrix",
    "tells the target": "target leakage",
    "told": "logged, reported, printed; of a user: asked for",
    "two runs can't meet": "a lock allows one run at a time",
    "what it looks at": "feature importance",
}


def pattern(phrase):
    """Match a phrase in any case, also in a name with underscores, and over the end of a line."""
    words = [re.escape(word).replace(r"\*", "[a-z]*") for word in phrase.split()]
    return re.compile(rf"(?<![a-z]){'[^a-z0-9]+'.join(words)}(?![a-z])", re.IGNORECASE)


def texts():
    """Yield each file that people read, and its text."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=TEMPLATE, capture_output=True, encoding="utf-8", check=True)
    for name in names.stdout.split("\0"):
        path = TEMPLATE / name
        is_text = path.suffix in TEXTS or path.name == "Dockerfile"
        if is_text and path.is_file() and path != Path(__file__):
            text = path.read_text(encoding="utf-8")
            yield name, text.replace("\\n", "  ") if path.suffix == ".ipynb" else text


def find(text):
    """Return the line, the words and what to write instead, of each phrase in a text."""
    return [
        (text.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), instead)
        for phrase, instead in INSTEAD.items()
        for found in pattern(phrase).finditer(text)
    ]


def test_texts_use_the_terms_of_the_field():
    found = [
        f"{name}:{line}: {words!r}; write: {instead}"
        for name, text in texts()
        for line, words, instead in find(text)
    ]
    assert not found, "\n".join(["", *sorted(found)])


def test_a_phrase_is_found_in_any_case_in_names_and_over_lines():
    assert find("def test_it_is_told(): ...")[0][:2] == (1, "told")
    assert find("a\n# Rows that\n# do not fit")[0][0] == 2
    assert find("the whole loophole, untold") == []
