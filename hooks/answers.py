"""Carry each answer safely into every file, or refuse it in one line before a folder exists.

cookiecutter loads this module as a Jinja extension (`_extensions` in cookiecutter.json). It gives
the template three filters (`slug`, `quoted`, `markdown`), and cookiecutter.json two functions:
`ask()` stands before the first question and `check()` after the last.
"""

import json
import keyword
import re
import sys
import unicodedata
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2.ext import Extension

TEMPLATE = Path(__file__).resolve().parent.parent
REQUIREMENTS = TEMPLATE / "{{cookiecutter.project_slug}}" / "requirements.txt"

LONGEST_SLUG = 30  # import lines stay within their 88 characters
EXAMPLES = {  # question: (longest answer, an answer that works)
    "project_name": (100, "Customer Churn"),
    "description": (300, "Predict which customers will leave, and why."),
    "author_name": (100, "Ada Lovelace"),
}

# Names that neither this Python's own list nor the pins in requirements.txt give away.
TAKEN = {
    "is a module of Python's standard library": (  # in some version of it
        "annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr"
        " imp mailcap nis nntplib pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"
    ),
    "is a package that the project uses": (  # imported by this name, or used to build
        "argon2 attr bs4 dateutil google hatchling ipykernel_launcher jupyter mpl_toolkits pil pip"
        " pkg_resources py pylab pythonjsonlogger rpds ruamel setuptools sklearn uv websocket wheel"
        " yaml zmq"
    ),
    "is a name that the project itself uses": (  # by its own files, or by what git ignores
        "app batch build conftest data dist docs env infer_schema lib logs models notebooks pipeline"
        " predict report reports service setup_clone src tests tools train training venv"
    ),
    "is a device on Windows": (
        "aux con nul prn com0 com1 com2 com3 com4 com5 com6 com7 com8 com9"
        " lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9"
    ),
}


class Answers(Extension):
    """The filters and functions; and, while the questions run, the guard of the answers."""

    def __init__(self, environment):
        """Give the filters and functions to the Jinja environment."""
        super().__init__(environment)
        # `cruft update` renders two versions of this template in one process: each loads its own.
        sys.modules.pop(__name__, None)
        self.asking = False
        environment.filters.update(slug=slug, quoted=quoted, markdown=markdown)
        environment.globals.update(ask=self.ask, check=self.check)

    def ask(self):
        """From here on, what cookiecutter renders is an answer."""
        self.asking = True
        return ""

    def check(self, answers):
        """Refuse the first answer that cannot be carried."""
        for problem in problems(answers):
            raise FailedHookException(problem)
        return ""

    def preprocess(self, source, name, filename=None):
        """Hide an answer from Jinja: cookiecutter would render `{{ 1 }}` to 1, and `{%` breaks it.

        Only the template's own defaults are rendered; they are known by their text.
        """
        if self.asking and source not in own_defaults():
            return f"{{{{ {source!a} }}}}"
        return source


def own_defaults():
    """The strings of cookiecutter.json."""
    return json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8")).values()


# --- filters ---


def slug(name):
    """Make a project's name one Python identifier, fit for a folder and a package."""
    folded = unicodedata.normalize("NFKD", str(name).casefold()).encode("ascii", "ignore").decode()
    words = re.findall("[a-z0-9]+", folded.replace("'", ""))
    result = "_".join(words) or "my_project"
    if result[0].isdigit():
        result = f"project_{result}"
    result = result[:LONGEST_SLUG].rstrip("_")
    return f"{result}_project" if reserved(result) else result


def quoted(value):
    """Write text as the double-quoted string that TOML, YAML, JSON and Python all read."""
    text = json.dumps(str(value), ensure_ascii=False)
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text
    )


def markdown(value):
    """Escape what Markdown or HTML would read as markup, in a heading or a paragraph."""
    text = re.sub(r"([\\`*_\[\]<>&|~$#])", r"\\\1", str(value).strip())
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)


# --- checks ---


def problems(answers):
    """Say what is wrong with the answers, a line each."""
    for question, (longest, example) in EXAMPLES.items():
        value = answers.get(question)
        wrong = wrong_text(value, longest)
        if wrong:
            yield f"{question} {shown(value)} {wrong}: type one line of text, such as {example!r}."
    value = answers.get("project_slug")
    wrong = wrong_slug(value)
    if wrong:
        yield f"project_slug {shown(value)} {wrong}: type another name, such as {slug(value)!r}."


def wrong_text(value, longest):
    """Say why a text cannot stand in every file; None if it can."""
    if not isinstance(value, str):
        return "is not text"
    if not any(letter.isprintable() and not letter.isspace() for letter in value):
        return "is empty"
    if value.splitlines() != [value]:
        return "has more than one line"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        return "has a character that cannot be written"
    if len(value) > longest:
        return f"has {len(value)} characters, and {longest} is the most"
    return None


def wrong_slug(value):
    """Say why a name cannot be the folder's and the package's; None if it can."""
    if not isinstance(value, str):
        return "is not text"
    if not re.fullmatch("[a-z]([a-z0-9_]*[a-z0-9])?", value):
        return "is not a name of a-z, 0-9 and _ that starts with a letter and ends without _"
    if len(value) > LONGEST_SLUG:
        return f"has {len(value)} characters, and {LONGEST_SLUG} is the most"
    return reserved(value)


def reserved(name):
    """Say what else goes by this name; None if it is free."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a Python keyword"
    if name in sys.stdlib_module_names:
        return "is a module of Python's standard library"
    if name in distributions():
        return "is a package that the project uses"
    return next((why for why, names in TAKEN.items() if name in names.split()), None)


def distributions():
    """The packages pinned for the generated project, spelled as identifiers."""
    if not REQUIREMENTS.exists():
        return set()
    pins = re.findall(r"^[\w.-]+", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub("[-_.]+", "_", pin).lower() for pin in pins}


def shown(value):
    """The value in one short line, whatever is in it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
