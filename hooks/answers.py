"""Check each answer right after its question, and escape it for the files it goes into.

cookiecutter loads this module as a Jinja extension (`_extensions` in cookiecutter.json). It adds
three filters for the template (`slug`, `quoted`, `markdown`) and two functions for
cookiecutter.json: `ask()` comes before the first question, and `check()` after each.
"""

import json
import keyword
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2.ext import Extension

TEMPLATE = Path(__file__).resolve().parent.parent
REQUIREMENTS = TEMPLATE / "{{cookiecutter.project_slug}}" / "requirements.txt"

LONGEST_SLUG = 30  # import lines stay within their 88 characters
EXAMPLES = {  # question: (most characters, a valid answer)
    "project_name": (100, "Customer Churn"),
    "description": (300, "Predict customer churn from tabular data."),
    "author_name": (100, "Ada Lovelace"),
}
QUESTIONS = (*EXAMPLES, "project_slug")

# Reserved names that are neither in this Python's own list nor pinned in requirements.txt.
TAKEN = {
    "is a module of Python's standard library": (  # in some Python version
        "annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr"
        " imp mailcap nis nntplib pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"
    ),
    "is a package that the project uses": (  # as an import name, or to build
        "argon2 attr bs4 dateutil google hatchling ipykernel_launcher jupyter mpl_toolkits pil pip"
        " pkg_resources py pylab pythonjsonlogger rpds ruamel setuptools sklearn uv websocket wheel"
        " yaml zmq"
    ),
    "is a name that the project itself uses": (  # for its files, or in .gitignore
        "app batch build conftest data dist docs env infer_schema lib logs models notebooks pipeline"
        " predict report reports service setup_clone src tests tools train training venv"
    ),
    "is a device name on Windows": (
        "aux con nul prn com0 com1 com2 com3 com4 com5 com6 com7 com8 com9"
        " lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9"
    ),
}


class Answers(Extension):
    """Provide the filters and functions, and protect the answers from Jinja."""

    def __init__(self, environment):
        """Add the filters and functions to the Jinja environment."""
        super().__init__(environment)
        # `cruft update` renders two versions of this template in one process: each loads its own.
        sys.modules.pop(__name__, None)
        self.asking = False
        environment.filters.update(slug=slug, quoted=quoted, markdown=markdown)
        environment.globals.update(ask=self.ask, check=self.check)

    def ask(self):
        """Treat everything that cookiecutter renders from here on as an answer."""
        self.asking = True
        return ""

    def check(self, answers):
        """Refuse the last of the answers given so far, if it cannot be used."""
        for problem in problems(answers):
            raise FailedHookException(problem + repeat(answers))
        return ""

    def preprocess(self, source, name, filename=None):
        """Hide an answer from Jinja: cookiecutter would render `{{ 1 }}` as 1 and fail on `{%`.

        Only the defaults in cookiecutter.json are rendered.
        """
        if self.asking and source not in own_defaults():
            return f"{{{{ {source!a} }}}}"
        return source


def own_defaults():
    """Return the values in cookiecutter.json."""
    return json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8")).values()


# --- filters ---


def slug(name):
    """Turn a project's name into a Python identifier for its folder and package."""
    folded = unicodedata.normalize("NFKD", str(name).casefold()).encode("ascii", "ignore").decode()
    words = re.findall("[a-z0-9]+", folded.replace("'", ""))
    result = "_".join(words) or "my_project"
    if result[0].isdigit():
        result = f"project_{result}"
    result = result[:LONGEST_SLUG].rstrip("_")
    return f"{result}_project" if reserved(result) else result


def quoted(value):
    """Quote text so that TOML, YAML, JSON and Python all read the same string."""
    text = json.dumps(str(value), ensure_ascii=False)
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text
    )


def markdown(value):
    """Escape the characters of a heading or paragraph that are markup in Markdown or HTML."""
    text = re.sub(r"([\\`*_\[\]<>&|~$#])", r"\\\1", str(value).strip())
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)


# --- checks ---


def problems(answers):
    """Yield one line for each answer that cannot be used."""
    for question, value in answers.items():
        if question == "project_slug":
            wrong, advice = wrong_slug(value), f"another name, such as {slug(value)!r}"
        elif question in EXAMPLES:
            longest, example = EXAMPLES[question]
            wrong, advice = wrong_text(value, longest), f"one line of text, such as {example!r}"
        else:
            continue
        if wrong:
            yield f"{question} {shown(value)} {wrong}: type {advice}."


def repeat(answers):
    """Return how to give the earlier answers again; the last of `answers` is refused."""
    earlier = [name for name in answers if name in QUESTIONS][:-1]
    if not earlier:
        return ""
    options = [f"{name}={answers[name]}" for name in earlier]
    line = subprocess.list2cmdline(options) if os.name == "nt" else shlex.join(options)
    return f" To keep your earlier answers, add them to the command: {line}"


def wrong_text(value, longest):
    """Return why a text cannot be used in every file; None if it can."""
    if not isinstance(value, str):
        return "is not text"
    if not any(letter.isprintable() and not letter.isspace() for letter in value):
        return "is empty"
    if value.splitlines() != [value]:
        return "has more than one line"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        return "contains a control character or invalid Unicode"
    if len(value) > longest:
        return f"has {len(value)} characters; the most is {longest}"
    return None


def wrong_slug(value):
    """Return why a name cannot be used for the folder and the package; None if it can."""
    if not isinstance(value, str):
        return "is not text"
    if not re.fullmatch("[a-z]([a-z0-9_]*[a-z0-9])?", value):
        return "must consist of a-z, 0-9 and _, start with a letter and not end with _"
    if len(value) > LONGEST_SLUG:
        return f"has {len(value)} characters; the most is {LONGEST_SLUG}"
    return reserved(value)


def reserved(name):
    """Return what else has this name; None if it is free."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a Python keyword"
    if name in sys.stdlib_module_names:
        return "is a module of Python's standard library"
    if name in distributions():
        return "is a package that the project uses"
    return next((why for why, names in TAKEN.items() if name in names.split()), None)


def distributions():
    """Return the packages pinned for the generated project, as identifiers."""
    if not REQUIREMENTS.exists():
        return set()
    pins = re.findall(r"^[\w.-]+", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub("[-_.]+", "_", pin).lower() for pin in pins}


def shown(value):
    """Return a value as one short line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
