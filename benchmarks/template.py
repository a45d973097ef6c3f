# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "matplotlib>=3.10,<4",
#     "psutil>=7,<8",
# ]
# ///
"""Measure the template itself beside others: how soon a project is there, tested, and answers.

Examples:
    uv run benchmarks/template.py               writes results/template.md
    uv run benchmarks/template.py --rounds 1    nothing is written
"""

import argparse
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median

from measure import stop
from report import format_goals, format_table, processor
from serving import run

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "template-benchmark"
ROUNDS = 3
PATIENCE = 600  # seconds, for the README's line
TOOLS = "lint,test,log,docs,data"  # of Kedro; the others are fetched from GitHub

GOALS = (
    ("generation, s", lambda f: f["ours"]["generate"], "<=", 0.7),
    ("the generated project's tests, second run, s", lambda f: f["ours"]["test"], "<=", 25),
    ("a clone to its first HTTP prediction, s", lambda f: f["line"]["all"], "<=", 20),
)
HEAD = """# The template, measured

{day}, Linux, {processor}, Python {python}; {versions}. Medians of {rounds} rounds, all caches warm.{note}

## Goals

"""
PEERS = """
## Beside other templates

Generation is from the start of the installed command to its end. Then the project is installed, its
tools for development too, and its own tests are run twice: in the first run Python compiles what they
import.

"""
GENERATION = """
## Where the time of generation goes

"""
LINE = """
## From a clone to the first HTTP prediction

The first line of the README, with the clock between its commands; a row is sent until it is answered.

"""


@dataclass(frozen=True)
class Maker:
    """What makes a project: its command, and how the project is installed and tested."""

    title: str
    command: list  # run in an empty folder
    install: tuple = ("uv sync --quiet",)
    test: str = "uv run --quiet pytest -q"


def environment(name, *packages):
    """Return the folder of commands of an environment of its own, made once."""
    folder = CACHE / name
    if not folder.exists():
        run("uv", "venv", "--quiet", "--python", sys.version.split()[0], folder, folder=CACHE)
        run("uv", "pip", "install", "--quiet", "--python", folder, *packages, folder=CACHE)
    return folder / "bin"


def source(package):
    """Return the folder of a package's source from PyPI, unpacked once."""
    found = list(CACHE.glob(f"{package}-*/"))
    if not found:
        pip = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", CACHE]
        run("uvx", "--quiet", *pip, package, folder=CACHE)
        (archive,) = CACHE.glob(f"{package}-*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(CACHE, filter="data")
        found = list(CACHE.glob(f"{package}-*/"))
    return found[0]


def makers(empty):
    """Return what is measured; the first is ours, the second what any cookiecutter takes."""
    cookiecutter = environment("cookiecutter", "cookiecutter>=2.7.1,<3") / "cookiecutter"
    bake = [cookiecutter, "--no-input", "--default-config"]
    own = ("uv venv --quiet", "uv pip install --quiet --editable .[{}]")
    kedro = environment("kedro", "kedro") / "kedro"
    putup = environment("pyscaffold", "pyscaffold", "pyscaffoldext-dsproject", "setuptools")
    answers = ["--name", "Customer Churn", "--tools", TOOLS, "--example", "n"]
    in_venv = ".venv/bin/python -m pytest -q"
    return {
        "ours": Maker("**this template**", [*bake, TEMPLATE]),
        "empty": Maker("cookiecutter, a template of one file", [*bake, empty], (), ""),
        "no hook": Maker(
            "this template without git", [*bake, "--accept-hooks=no", TEMPLATE], (), ""
        ),
        "kedro": Maker(
            f"Kedro, its own template with {TOOLS}",
            [kedro, "new", *answers],
            (own[0], own[1].format("dev")),
            in_venv,
        ),
        "cookiecutter-uv": Maker("cookiecutter-uv", [*bake, source("cookiecutter_uv")]),
        "pyscaffold": Maker(
            "PyScaffold's data-science project",
            [putup / "putup", "--dsproject", "churn"],
            (own[0], own[1].format("testing")),
            in_venv,
        ),
    }


def timed(command, folder, may_exit=(0,)):
    """Run a command and return its seconds, those of the processor, and what it said."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode not in may_exit:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout}{result.stderr}")
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, work, result.stdout


def generate(maker, folder):
    """Make a project; return it and the figures."""
    folder.mkdir()
    seconds, work, _ = timed(maker.command, folder)
    (project,) = folder.iterdir()
    return project, {"generate": seconds, "generate cpu": work}


def install(maker, project):
    """Install a project; return the figures."""
    files = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]
    seconds = sum(timed(command.split(), project)[0] for command in maker.install)
    return {"files": len(files), "install": seconds}


def test(maker, project):
    """Run a project's tests twice; in the first run Python compiles all that they import."""
    none_collected = 5
    first, _, said = timed(maker.test.split(), project, may_exit=(0, none_collected))
    again, _, _ = timed(maker.test.split(), project, may_exit=(0, none_collected))
    passed = re.search(r"(\d+) passed", said)
    return {"first test": first, "test": again, "tests": int(passed[1]) if passed else 0}


def follow_readme(folder):
    """Paste the README's line in a clone; return the seconds of each of its commands."""
    clone, clock = folder / "template", folder / "clock"
    ignored = shutil.ignore_patterns(".git", ".uv", ".venv", "results", "__pycache__")
    shutil.copytree(TEMPLATE, clone, ignore=ignored)
    readme = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    line = next(text for text in readme.splitlines() if "cookiecutter ." in text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    steps = [*line.split(" && ")[:-1], f"uv run app.py --port {port}"]
    script = f" && date +%s.%N >> {clock} && ".join(steps)
    python = Path(sys._base_executable).parent  # as on a machine without uv
    bare = os.environ | {"PATH": os.pathsep.join([str(python), "/usr/bin", "/bin"])}
    start = time.time()
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=clone,
            env=bare,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        first_answer(f"http://127.0.0.1:{port}/predict", process, folder / "log")
        end = time.time()
    finally:
        stop(process)
    times = [start, *map(float, clock.read_text(encoding="utf-8").split()), end]
    seconds = dict(zip(steps, (after - before for before, after in pairwise(times)), strict=True))
    named = {
        "python3 -m venv, pip install uv": ("python3", ".uv/bin/pip"),
        "uvx cookiecutter": ("uvx",),
        "uv run pipeline.py, after it installed the project": ("uv run pipeline.py",),
        "uv run train": ("uv run train",),
        "uv run app.py, to the first answer": ("uv run app.py",),
    }
    parts = {
        name: sum(value for step, value in seconds.items() if step.startswith(starts))
        for name, starts in named.items()
    }
    rest = end - start - parts["python3 -m venv, pip install uv"]
    return {"all": end - start} | parts | {"all but the first, where uv is installed": rest}


def first_answer(url, process, log):
    """Send the README's row until it is answered."""
    readme = next(TEMPLATE.glob("*cookiecutter.project_slug*/README.md"))
    row = re.search(r"-d '(.*)'", readme.read_text(encoding="utf-8"))[1]
    request = urllib.request.Request(url, row.encode(), {"Content-Type": "application/json"})
    begin = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:
                assert "prediction" in json.load(answer)
                return
        except OSError:
            if process.poll() is not None or time.monotonic() - begin > PATIENCE:
                sys.exit(f"the README's line does not serve:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.01)


def measure_round(everyone, folder, number):
    """Measure each once, in every other round the other way round; 0 only fills the caches."""
    found = {}
    for name in reversed(everyone) if number % 2 else everyone:
        maker = everyone[name]
        project, found[name] = generate(maker, folder / name)
        found[name] |= install(maker, project)
        if maker.test and number:
            found[name] |= test(maker, project)
        print(name, found[name], file=sys.stderr)
    (folder / "clone").mkdir()
    found["line"] = follow_readme(folder / "clone")
    print("line", found["line"], file=sys.stderr)
    return found


def format_report(rounds, everyone, note):
    """Return the page of results."""
    figures = {
        name: {key: median(each[name][key] for each in rounds) for key in rounds[0][name]}
        for name in rounds[0]
    }
    paired = {
        name: median(each[name]["generate"] / each["empty"]["generate"] for each in rounds)
        for name in everyone
    }
    ours = figures["ours"]
    rows = []
    for name, maker in everyone.items():
        each = figures[name]
        cells = [f"{each['generate']:.2f}", f"{each['generate cpu']:.2f}", f"{paired[name]:.2f}"]
        if maker.test:
            cells += [f"{each['files']:.0f}", f"{each['install']:.1f}"]
            cells += [f"{each['tests']:.0f}"]
            cells += [f"{each[key]:.1f}" for key in ("first test", "test")]
            rows.append([maker.title, *cells])
    head = ["", "generation, s", "processor s", "/ cookiecutter alone", "files", "install, s"]
    peers = format_table([*head, "tests", "first run, s", "next, s"], rows)
    empty, bare = figures["empty"], figures["no hook"]
    parts = []
    for name, more, less in (
        ("cookiecutter itself, with a template of one file", empty, None),
        ("drawing the files", bare, empty),
        ("git: the repository, its first commit, filter and hooks", ours, bare),
    ):
        keys = ("generate", "generate cpu")
        parts.append([name, *(f"{more[key] - (less[key] if less else 0):.2f}" for key in keys)])
    line = [[name, f"{value:.1f}"] for name, value in figures["line"].items() if name != "all"]
    line.append(["**all**", f"**{figures['line']['all']:.1f}**"])
    packages = ("cookiecutter", "kedro", "pyscaffold", "pyscaffoldext-dsproject")
    installed = {
        package: version(name, package)
        for package, name in zip(packages, (*packages[:3], "pyscaffold"), strict=True)
    }
    installed["cookiecutter-uv"] = source("cookiecutter_uv").name.split("-")[1]
    text = HEAD.format(
        day=date.today().isoformat(),
        processor=processor(),
        python=sys.version.split()[0],
        versions=", ".join(f"{name} {number}" for name, number in sorted(installed.items())),
        rounds=len(rounds),
        note=f" {note}" if note else "",
    )
    text += format_goals(figures, GOALS) + "\n" + PEERS + peers + "\n"
    text += GENERATION + format_table(["", "s", "processor s"], parts) + "\n"
    return text + LINE + format_table(["", "s"], line) + "\n"


def version(name, package):
    """Return the version of a package in a peer's environment."""
    said = run("uv", "pip", "show", "--python", CACHE / name, package, folder=CACHE)
    return re.search(r"^Version: (.*)$", said, re.MULTILINE)[1]


def main():
    """Measure from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--note", default="", help="a sentence for the results")
    options = parser.parse_args()
    for name in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    os.environ |= {"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1"}
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        empty = folder / "empty" / "{{cookiecutter.project}}"
        empty.mkdir(parents=True)
        (empty / "README.md").write_text("# {{ cookiecutter.project }}\n", encoding="utf-8")
        (empty.parent / "cookiecutter.json").write_text('{"project": "churn"}', encoding="utf-8")
        everyone = makers(empty.parent)
        rounds = []
        for number in range(options.rounds + 1):
            place = folder / f"round-{number}"
            place.mkdir()
            rounds.append(measure_round(everyone, place, number))
            shutil.rmtree(place)
        text = format_report(rounds[1:], everyone, options.note)
    if options.rounds == ROUNDS:
        (HERE / "results" / "template.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
