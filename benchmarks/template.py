# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "kedro",
#     "psutil>=7,<8",
#     "pyscaffold",
#     "pyscaffoldext-dsproject",
#     "setuptools",
# ]
# ///
"""Measure how long the template takes to a project, its tests and its first prediction.

Needs Linux, git and uv.

Examples:
    uv run benchmarks/template.py            writes results/template.md
    uv run benchmarks/template.py --quick    writes nothing
"""

import os
import re
import shutil
import sys
import time
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from inputs import COOKIECUTTER, TEMPLATE, read_options, run, workspace
from measure import find_port, measure_command, measure_rounds, started, wait_for_answer
from report import Column, Goal, Group, report

OURS, EMPTY = "**this template**", "cookiecutter and a template of one file"
KEDRO_TOOLS = "lint,test,log,docs,data"  # the others are downloaded from GitHub

GENERATION = {
    "s": Column("seconds"),
    "/ cookiecutter alone": Column("seconds", base=EMPTY),
    "CPU s": Column("cpu"),
}
TESTS = {
    "tests": Column("tests", ".0f"),
    "first run, s": Column("first", ".1f"),
    "second run, s": Column("second", ".1f"),
}
GENERATION_GOALS = (Goal("s", OURS, "seconds", "≤", 0.7),)
TEST_GOALS = (
    Goal("first run, s", OURS, "first", "≤", 22),
    Goal("second run, s", OURS, "second", "≤", 15),
)
CLONE_GOALS = (Goal("s", "all", "seconds", "≤", 20),)


def list_generators(folder, is_quick):
    """Return the command of each generator of projects."""
    empty = folder / "empty"
    project = empty / "{{cookiecutter.project}}"
    project.mkdir(parents=True)
    (project / "README.md").write_text("# {{ cookiecutter.project }}\n", encoding="utf-8")
    (empty / "cookiecutter.json").write_text('{"project": "churn"}', encoding="utf-8")
    generators = {OURS: [*COOKIECUTTER, TEMPLATE], EMPTY: [*COOKIECUTTER, empty]}
    if not is_quick:
        kedro = f"{sys.executable} -m kedro new --name Churn --example n --tools {KEDRO_TOOLS}"
        generators["Kedro"] = kedro.split()
        putup = Path(sys.executable).with_name("putup")
        generators["PyScaffold, data science"] = [putup, "--dsproject", "churn"]
    return generators


def generate(command, folder):
    """Generate a project in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return measure_command(command, folder, folder.with_suffix(".log"))


def run_tests(folder, is_quick):
    """Run a project's tests twice; return their number and the seconds.

    The project is a new one. In the first run Python compiles what the tests import. The
    quick form runs one file of tests in the project that the README's line has generated.
    """
    project, log_file, selected = folder / "customer_churn", folder / "log", []
    if is_quick:
        selected = sorted(project.glob("tests/test_*.py"), key=lambda file: file.stat().st_size)
    else:
        generate([*COOKIECUTTER, TEMPLATE], folder)
        run("uv", "sync", "--quiet", folder=project)
    command = ["uv", "run", "--quiet", "pytest", "-q", *selected[:1]]
    first, second = (measure_command(command, project, log_file)["seconds"] for _ in range(2))
    passed = re.search(r"(\d+) passed", log_file.read_text(encoding="utf-8"))
    return {"first": first, "second": second, "tests": int(passed[1])}


def predict_from_clone(folder):
    """Run the README's line in a clone until it answers; return the seconds of each command."""
    shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns(".git", ".uv", ".venv", "results", "__pycache__")
    clone = shutil.copytree(TEMPLATE, folder / "template", ignore=ignored)
    port, clock = find_port(), folder / "clock"
    commands = find_line(TEMPLATE / "README.md", "(.* && uvx .*) && uv run app.py").split(" && ")
    commands.append(f"uv run app.py --port {port}")
    script = f" && date +%s.%N >> {clock} && ".join(commands)
    (project_readme,) = TEMPLATE.glob("*cookiecutter.project_slug*/README.md")
    row = find_line(project_readme, "-d '(.*)'").encode()

    path = f"{Path(sys._base_executable).parent}:/usr/bin:/bin"  # as on a machine without uv
    times = [time.time()]
    with started(["bash", "-c", script], clone, folder / "log", PATH=path) as process:
        url = f"http://127.0.0.1:{port}/predict"
        answer = wait_for_answer(process, url, row, folder / "log")
        end = time.time()
    if "prediction" not in answer:
        sys.exit(f"the service of the README's line answers {answer}")
    times += [*map(float, clock.read_text(encoding="utf-8").split()), end]
    steps = {
        command.split(" --")[0]: after - before
        for command, (before, after) in zip(commands, pairwise(times), strict=True)
    }
    return steps | {"all": end - times[0]}


def find_line(readme, pattern):
    """Return the part of a README that a pattern describes."""
    return re.search(pattern, readme.read_text(encoding="utf-8"))[1]


def main():
    """Measure from the command line."""
    options = read_options(__doc__)
    os.environ |= {"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1"}
    with workspace() as folder:
        jobs = {
            name: partial(generate, command, folder / "generated")
            for name, command in list_generators(folder, options.quick).items()
        }
        jobs["clone"] = partial(predict_from_clone, folder / "clone")
        place = folder / ("clone" if options.quick else "tested")
        jobs["tests"] = partial(run_tests, place, options.quick)
        results = measure_rounds(jobs, options.rounds, warm_up=int(not options.quick))

    steps = {step: {"seconds": seconds} for step, seconds in results.pop("clone").items()}
    tests, seconds = {OURS: results.pop("tests")}, {"s": Column("seconds", ".1f")}
    groups = [
        Group("Generation", results, GENERATION, GENERATION_GOALS),
        Group("The project's tests", tests, TESTS, TEST_GOALS),
        Group("Clone to first HTTP prediction", steps, seconds, CLONE_GOALS),
    ]
    packages = ("cookiecutter", "kedro", "pyscaffold")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    report("template", f"{versions}. The caches of uv and pip are warm.", groups, options)


if __name__ == "__main__":
    main()
