# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1,<3", "psutil>=7,<8"]
# ///
"""Measure the generated app.py and its peers. Needs Linux, two cores, uv and wrk.

Examples:
    uv run benchmarks/serving.py            writes results/serving.md
    uv run benchmarks/serving.py --quick    app.py and the floor only; writes nothing
"""

import json
import os
import shutil
import sys
import time
from functools import partial
from typing import NamedTuple

from inputs import HERE, PEERS, bake, environment, programs, read_options, run, workspace
from measure import (
    ask,
    find_family,
    find_port,
    measure_memory,
    measure_rounds,
    started,
    wait_for_answer,
)
from report import Column, Goal, Group, report

CONNECTIONS, SECONDS, QUICK_SECONDS = 16, 4, 1
SIZES = (1, 1_000)  # rows in a request
TOLERANCE = 1e-5
SERVER_CORE, *_, LOAD_CORE = sorted(os.sched_getaffinity(0))

OURS, EXPLAIN = "**app.py**", "app.py, with explanations"
FLOOR, FASTAPI = "floor: Flask answers a constant", "FastAPI, the same ONNX model"
MLFLOW = "MLflow serve"

GOALS = {
    1: (
        Goal("requests/s, × floor", OURS, "rate.1", "≥", 0.7, FLOOR),
        Goal("requests/s, × FastAPI", OURS, "rate.1", "≥", 1.15, FASTAPI),
        Goal("explanation, CPU ms", EXPLAIN, "explanation", "≤", 1),
        Goal("cold start, s", OURS, "cold start", "≤", 1),
        Goal("memory of a worker, MiB", OURS, "worker", "≤", 90),
    ),
    1_000: (Goal("requests/s, × MLflow", OURS, "rate.1000", "≥", 3, MLFLOW),),
}


class Server(NamedTuple):
    """How a server is started and asked. In the command, PORT stands for the port."""

    command: list
    folder: str
    variables: dict
    path: str = "/predict"
    body: str = "features"
    sizes: tuple = SIZES


def our_servers(project, data):
    """Return the floor, and app.py in its variants."""
    python = programs(project) / "python"
    options = ["--workers", "1", "--port", "PORT", "--model", data / "model.onnx"]
    quiet = {"SERVING__ACCESS_LOG": "false"}
    variables = quiet | {"BENCHMARK_FOLDER": str(data), "PYTHONPATH": f"{project}:{PEERS}"}
    ours = Server([python, "app.py", *options], project, quiet)
    return {
        OURS: ours,
        FLOOR: Server([python, PEERS / "floor.py", *options], project, variables),
        EXPLAIN: ours._replace(path="/predict?explain=true", sizes=SIZES[:1]),
        "app.py, with its access log": ours._replace(variables={}),
    }


def peer_servers(project, data):
    """Return the peers; FastAPI and MLflow have environments of their own."""
    freeze = ("uv", "pip", "freeze", "--python", programs(project) / "python")
    lines = run(*freeze, folder=project).splitlines()
    pins = {line.split("==")[0]: line for line in lines}
    contract = ("numpy", "onnxruntime", "pydantic", "pydantic-settings", "pyyaml")
    pinned = [pins[name] for name in contract]
    fastapi = environment("fastapi", ["fastapi", "uvicorn[standard]", *pinned])
    mlflow = environment("mlflow", ["mlflow", pins["pandas"], pins["scikit-learn"], *pinned])
    variables = {
        "BENCHMARK_FOLDER": str(data),
        "PYTHONPATH": f"{project / 'src'}:{PEERS}",
        "PATH": f"{mlflow}:{os.environ['PATH']}",
    }
    run(mlflow / "python", PEERS / "mlflow_save.py", folder=data, **variables)

    serve = f"{mlflow}/mlflow models serve --env-manager local --model-uri mlflow --port PORT"
    uvicorn = f"{fastapi}/uvicorn fastapi_onnx:app --no-access-log --port PORT"
    return {
        FASTAPI: Server(uvicorn.split(), data, variables),
        MLFLOW: Server(serve.split(), data, variables, "/invocations", "mlflow"),
    }


def measure_server(server, data, seconds):
    """Start a server, check its answers, load it and stop it; return the figures.

    `cpu` is the processor time of a request in ms, of all processes of the server. On a busy
    machine it is more reliable than the requests per second.
    """
    port, log_file = find_port(), data / "log"
    url = f"http://127.0.0.1:{port}{server.path}"
    command = ["taskset", "--cpu-list", SERVER_CORE]
    command += [str(part).replace("PORT", str(port)) for part in server.command]
    bodies = {rows: data / f"{server.body}.{rows}.json" for rows in server.sizes}
    begin = time.perf_counter()
    with started(command, server.folder, log_file, **server.variables) as process:
        wait_for_answer(process, url, bodies[1].read_bytes(), log_file)
        figures = {"cold start": time.perf_counter() - begin}
        for rows, body in bodies.items():
            check(data, rows, ask(url, body.read_bytes()))
            load(url, body, 1)  # warms up
            before = sum(measure_cpu(process).values())
            found = load(url, body, seconds)
            cpu = sum(measure_cpu(process).values()) - before
            figures[f"rate.{rows}"] = found["requests"] / found["microseconds"] * 1e6
            figures[f"cpu.{rows}"] = cpu / found["requests"] * 1e3
            for name in ("p50", "p99"):
                figures[f"{name}.{rows}"] = found[name] / 1e3
        cpu = measure_cpu(process)
        sizes = measure_memory(cpu)
    worker = sizes[max(cpu, key=cpu.get)]  # the process that worked most
    return figures | {"worker": worker, "all": sum(sizes.values())}


def check(data, rows, answer):
    """Check that a server answers what scikit-learn predicted when the model was trained."""
    expected = json.loads((data / "expected.json").read_text(encoding="utf-8"))
    pairs = zip(find_floats(answer), find_floats(expected[:rows]), strict=True)
    worst = max(abs(found - wanted) for found, wanted in pairs)
    if worst > TOLERANCE:
        sys.exit(f"other probabilities for {count_rows(rows)} than expected, by {worst:.2g}")


def find_floats(answer):
    """Return all fractions in an answer in their order, without explanations."""
    if isinstance(answer, dict):
        answer = [part for name, part in answer.items() if name != "explanation"]
    if isinstance(answer, list):
        return [number for part in answer for number in find_floats(part)]
    return [answer] if isinstance(answer, float) else []


def load(url, body, seconds):
    """Send requests over open connections from another core; return what wrk counted.

    If no request is answered in this time, as on a busy machine, try twice the time.
    """
    wrk = f"taskset --cpu-list {LOAD_CORE} wrk --threads=1 --timeout=60 --script=post.lua"
    wrk += f" --connections={CONNECTIONS} --duration={seconds} {url}"
    output = run(*wrk.split(), folder=HERE, BODY=str(body))
    found = json.loads(output.splitlines()[-1])
    if found["failed"]:
        sys.exit(f"{url} failed under load:\n{output}")
    return found if found["requests"] else load(url, body, 2 * seconds)


def measure_cpu(process):
    """Return the seconds that each process of a server has worked."""
    return {each: sum(each.cpu_times()[:2]) for each in find_family(process.pid)}


def count_rows(rows):
    """Return a number of rows in words."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def list_columns(rows):
    """Return the columns for requests of so many rows."""
    base, other = (FASTAPI, "FastAPI") if rows == 1 else (MLFLOW, "MLflow")
    return {
        "requests/s": Column(f"rate.{rows}", ",.1f"),
        "× floor": Column(f"rate.{rows}", base=FLOOR),
        f"× {other}": Column(f"rate.{rows}", base=base),
        "p50 ms": Column(f"p50.{rows}", ",.1f"),
        "p99 ms": Column(f"p99.{rows}", ",.1f"),
        "CPU ms": Column(f"cpu.{rows}"),
        "cold start s": Column("cold start"),
        "worker MiB": Column("worker", ".0f"),
        "all processes MiB": Column("all", ".0f"),
    }


def main():
    """Measure from the command line."""
    options = read_options(__doc__)
    if not shutil.which("wrk"):
        sys.exit("wrk is missing; on Debian: apt-get install wrk")
    seconds = QUICK_SECONDS if options.quick else SECONDS
    with workspace() as folder:
        project, data = bake(folder), folder / "data"
        data.mkdir()
        python = programs(project) / "python"
        run(python, "pipeline.py", folder=project)
        run(programs(project) / "train", "--output", data / "model.onnx", folder=project)
        run(python, HERE / "prepare.py", data, folder=project)
        servers = our_servers(project, data)
        if options.quick:
            servers = {name: servers[name] for name in (OURS, FLOOR)}
        else:
            servers |= peer_servers(project, data)
        jobs = {
            name: partial(measure_server, server, data, seconds) for name, server in servers.items()
        }
        figures = measure_rounds(jobs, options.rounds)
    if EXPLAIN in figures:
        figures[EXPLAIN]["explanation"] = figures[EXPLAIN]["cpu.1"] - figures[OURS]["cpu.1"]
    about = (
        f"Each server runs for {seconds} s in each round, with {CONNECTIONS} open connections, on "
        "one core; the load comes from another."
    )
    groups = [
        Group(f"{count_rows(rows)} in a request", figures, list_columns(rows), GOALS[rows])
        for rows in SIZES
    ]
    report("serving", about, groups, options)


if __name__ == "__main__":
    main()
