# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "matplotlib>=3.10,<4",
#     "psutil>=7,<8",
# ]
# ///
"""Measure the generated app.py beside its peers. Linux, two cores, wrk and uv.

Examples:
    uv run benchmarks/serving.py            all of it: writes the table and the plot in results/
    uv run benchmarks/serving.py --quick    the app and the floor, in under a minute
    uv run benchmarks/serving.py --only ours floor mlflow --rounds 3
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from cookiecutter.main import cookiecutter
from measure import Server, measure
from report import format_goals, format_rates, write_report
from wide_table import write_wide_table

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "serving-benchmark"
MODELS = ("gradient_boosting", "random_forest", "logistic")
OURS = ("floor", "ours", "ours-explain", "ours-log", "ours-random_forest", "ours-logistic")
OTHERS = ("flask-sklearn", "fastapi-onnx", "article", "fastapi-sklearn", "mlflow", "bentoml")
WIDE = ("wide-floor", "wide", "wide-random_forest", "wide-logistic")
NAMES = (*OURS, *OTHERS, *WIDE)
ROUNDS, SECONDS = 5, 4
QUICK_ROUNDS, QUICK_SECONDS = 3, 2


def run(*command, folder, **variables):
    """Run a command; what it says is shown only if it fails."""
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


def bake(folder, models, wide=False):
    """Make a project from the template, with trained models, requests and expected answers."""
    answers = {"no_input": True, "default_config": True, "output_dir": str(folder)}
    project = Path(cookiecutter(str(HERE.parent), **answers))
    if wide:
        next(project.glob("data/raw/*.csv")).unlink()
        write_wide_table(project / "data" / "raw" / "wide.csv")
        table = ("data/raw/wide.csv", "--target", "outcome", "--key", "id")
        run("uv", "run", "infer-schema", *table, folder=project)
    run("uv", "run", "pipeline.py", folder=project)
    data = project / "benchmark"
    data.mkdir()
    config = project / "config.yaml"
    shutil.copy(config, data)  # as it is made; but to be measured, no server logs requests
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("access_log: true", "access_log: false"), encoding="utf-8")
    prepare = (python_of(project), HERE / "prepare.py", data, *models)
    run(*prepare, folder=project, PYTHONPATH=f"{project}:{PEERS}")
    return project


def python_of(project):
    """Return the Python of a project's own environment."""
    return str(project / ".venv" / "bin" / "python")


def environment(cache, name, requirements):
    """Make a peer's virtual environment, or keep the one that is there; return its programs."""
    folder = cache / name
    if not folder.exists():
        run("uv", "venv", "--quiet", "--python", sys.executable, folder, folder=cache)
    python = folder / "bin" / "python"
    run("uv", "pip", "install", "--quiet", "--python", python, *requirements, folder=cache)
    return folder / "bin"


def pins(project):
    """Return the project's versions of the packages that must read its models."""
    lines = run("uv", "pip", "freeze", folder=project).splitlines()
    return {line.split("==")[0]: line for line in lines if "==" in line}


def our_servers(project, group, models):
    """Return the floor, and app.py with each kind of model."""
    data, python = project / "benchmark", python_of(project)
    ours = [python, "app.py", "--workers", "1", "--port", "PORT", "--model"]
    prefix = f"{group} " if group else ""
    title = f"{prefix}floor: Flask answers a constant"
    servers = [on_our_server(project, f"{group}-floor".lstrip("-"), title, "floor")]
    for model in models:
        name = f"{group or 'ours'}-{model}".removesuffix("-gradient_boosting")
        title = f"{prefix}app.py, {model}"
        command = [*ours, str(data / f"{model}.onnx")]
        servers.append(Server(name, title, command, data, project, model=model))
    if not group:
        command = [python, str(project / "app.py"), *ours[2:], str(data / f"{models[0]}.onnx")]
        title = f"app.py, {models[0]}, with its access log"
        servers.append(Server("ours-log", title, command, data, data))
        command = [*ours, str(data / f"{models[0]}.onnx")]
        title = f"app.py, {models[0]}, with explanations"
        path = "/predict?explain=true"
        servers.append(Server("ours-explain", title, command, data, project, path=path))
    return servers


def on_our_server(project, name, title, module):
    """Return a peer that runs in the project's environment on the server of app.py."""
    data, python = project / "benchmark", python_of(project)
    command = [python, str(PEERS / "on_our_server.py"), module, "--workers", "1", "--port", "PORT"]
    variables = {"BENCHMARK_FOLDER": str(data), "PYTHONPATH": f"{project}:{PEERS}"}
    return Server(name, title, command, data, project, variables)


def peer(project, cache, name, title, requirements, command, **settings):
    """Return a peer that runs in an environment of its own."""
    data, pinned = project / "benchmark", pins(project)
    programs = environment(cache, name, [pinned.get(each, each) for each in requirements])
    variables = {
        "BENCHMARK_FOLDER": str(data),
        "PYTHONPATH": f"{project / 'src'}:{PEERS}",
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    if name == "mlflow":
        run(programs / "python", PEERS / "mlflow_save.py", folder=data, **variables)
    command = [str(programs / command[0]), *command[1:]]
    return Server(name, title, command, data, data, variables, **settings)


def peers(project, cache):
    """Return how to prepare each peer, by its name. Their logs of each request stay as they are."""
    # What the package's features need; `raw_features` is the first step of each pipeline.
    sklearn = ["scikit-learn", "pandas", "pydantic", "pydantic-settings", "pyyaml"]
    uvicorn = ["uvicorn", "--port", "PORT", "--no-access-log"]
    mlflow = ["mlflow", "models", "serve", "--env-manager", "local", "--model-uri", "mlflow"]
    bentoml = ["bentoml", "serve", "bentoml_sklearn:Churn", "--working-dir", str(PEERS)]
    new = partial(partial, peer, project, cache)
    several = [
        new(
            "fastapi-onnx",
            "FastAPI, the same ONNX model",
            [
                *("fastapi", "uvicorn[standard]", "onnxruntime", "numpy", "pydantic"),
                *("pydantic-settings", "pyyaml"),
            ],
            [*uvicorn, "fastapi_onnx:app"],
        ),
        new(
            "article",
            "the article's app: pickle, development server",
            ["flask", *sklearn],
            ["python", str(PEERS / "article.py"), "PORT"],
            body="article",
        ),
        new(
            "fastapi-sklearn",
            "FastAPI, scikit-learn",
            ["fastapi", "uvicorn[standard]", *sklearn],
            [*uvicorn, "fastapi_sklearn:app"],
        ),
        new(
            "mlflow",
            "MLflow serve",
            ["mlflow", *sklearn],
            [*mlflow, "--port", "PORT"],
            body="mlflow",
            path="/invocations",
        ),
        new(
            "bentoml",
            "BentoML",
            ["bentoml", *sklearn],
            [*bentoml, "--port", "PORT"],
            body="list",
        ),
    ]
    named = {each.args[2]: each for each in several}
    flask = ("flask-sklearn", "Flask, scikit-learn", "flask_sklearn")
    return {flask[0]: partial(on_our_server, project, *flask), **named}


def choose(only, folder, cache):
    """Prepare the servers to measure: those that are named, or all."""
    main, wide = folder / "main", folder / "wide"
    wanted = only or set(NAMES)
    models = [model for model in MODELS if model == MODELS[0] or f"ours-{model}" in wanted]
    project = bake(main, models)
    servers = our_servers(project, "", models)
    for name, prepare in peers(project, cache).items():
        if name in wanted:
            print(f"preparing {name} …", file=sys.stderr)
            servers.append(prepare())
    if wanted.intersection(WIDE):
        servers += our_servers(bake(wide, MODELS, wide=True), "wide", MODELS)
    return [server for server in servers if server.name in wanted]


def measure_all(servers, rounds, seconds, folder):
    """Measure every server once a round, back and forth; return the medians by name."""
    found = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers[:: -1 if number % 2 else 1]:
            log_file = folder / f"{server.name}.log"
            figures = measure(server, seconds, log_file)
            found[server.name].append(figures)
            shown = " ".join(f"{key}={value:.4g}" for key, value in figures.items())
            print(f"{number + 1}/{rounds} {server.name}: {shown}", file=sys.stderr)
    return {
        name: {key: median(each[key] for each in several) for key in several[0]}
        for name, several in found.items()
    }


def main():
    """Measure from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--quick", action="store_true", help="few rounds, the app and the floor")
    about = f"measure these, and write nothing: {', '.join(NAMES)}"
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=about)
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}; quick: {QUICK_ROUNDS}")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the peers are installed")
    options = parser.parse_args()
    for program in ("wrk", "taskset", "uv"):
        if not shutil.which(program):
            parser.error(f"{program} is missing; on Debian: apt-get install wrk util-linux")

    os.environ.pop("VIRTUAL_ENV", None)  # that of this script; the projects have their own
    options.cache.mkdir(parents=True, exist_ok=True)
    only = set(options.only) if options.only else {"ours", "floor"} if options.quick else None
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        servers = choose(only, Path(folder), options.cache)
        figures = measure_all(servers, rounds, seconds, Path(folder))
    titles = {server.name: server.title for server in servers}
    if only:
        print(format_goals(figures), format_rates(figures), sep="\n\n")
    else:
        write_report(figures, titles, rounds, seconds)


if __name__ == "__main__":
    main()
