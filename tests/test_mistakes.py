"""A user's mistake ends with exit code 2 and one line: what is wrong, where, what to run next."""

import shutil
import socket

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

SAMPLE = "data/raw/customers.csv"
LOGS = {
    f"logs/{name}"
    for name in ("pipeline.jsonl", "pipeline.lock", "pipeline.log", "predict.log", "train.log")
}


@pytest.fixture
def project(ready, tmp_path):
    """A copy of the project to make mistakes in; its environment stays where it is."""
    folder = tmp_path / "project"
    shutil.copytree(ready.path, folder, ignore=shutil.ignore_patterns(".venv", ".git", "logs"))
    return Project(folder)


@pytest.fixture
def run(project, ready):
    """Run a command of the project as `uv run` does."""
    (programs,) = [*ready.path.glob(".venv/bin"), *ready.path.glob(".venv/Scripts")]

    def run(*command):
        script = ("python", *command) if command[0].endswith(".py") else command
        return project.run(programs / script[0], *script[1:])

    return run


@pytest.fixture
def refused(project, run):
    """Run a command that must be refused, and return its one line."""

    def refused(*command):
        before = files(project)
        result = run(*command)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
        assert line == result.stderr.splitlines()[-1]
        assert files(project) - before <= LOGS, "something half-written stayed behind"
        return line.removeprefix("error: ")

    return refused


@pytest.fixture
def sample(project):
    """The text of the sample table."""
    return (project.path / SAMPLE).read_text(encoding="utf-8")


def files(project):
    """All files but what Python caches."""
    paths = {path.relative_to(project.path) for path in project.path.rglob("*") if path.is_file()}
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", f"{SAMPLE} is empty"),
        (lambda text: text.split("\n")[0], "data/raw/*.csv has a header but no rows"),
        (lambda text: text.replace("age,", "", 1), "no column 'age'"),
        (lambda text: text.replace("age,", "aged,", 1), "no column 'age' (the nearest is 'aged')"),
        (lambda text: text.replace("\n", ",more\n", 1), "unknown column 'more'"),
        (lambda text: text.replace(",", ";"), "is not separated by ','"),
    ],
)
def test_a_raw_file_that_does_not_fit(project, sample, refused, change, message):
    (project.path / SAMPLE).write_text(change(sample), encoding="utf-8")
    assert message in refused("pipeline.py")


def test_a_raw_file_in_another_encoding(project, sample, refused):
    text = sample.replace("North", "Nörd")
    line = text[: text.index("Nörd")].count("\n") + 1
    (project.path / SAMPLE).write_text(text, encoding="cp1252")
    rejected = project.path / "data" / "rejected" / "customers.csv"
    rejected.parent.mkdir(exist_ok=True)
    rejected.touch()
    message = refused("pipeline.py")
    assert "of the rows are rejected, most often byte 0xf6 is not utf-8; set `e" in message
    assert f"customers.csv,{line},byte 0xf6" in rejected.read_text(encoding="utf-8")


def test_a_raw_file_that_is_not_there(refused):
    assert "no file matches nowhere.csv" in refused("pipeline.py", "--raw", "nowhere.csv")
    assert "data/raw is a folder" in refused("pipeline.py", "--raw", "data/raw")


def test_steps_before_their_turn(refused):
    assert "run: uv run pipeline.py" in refused("train")
    assert "no model at models/model.onnx; run: uv run train" in refused("app.py")


def test_a_schema_that_cannot_be_inferred(refused):
    assert "no file matches nowhere.csv" in refused("infer-schema", "nowhere.csv", "--target", "x")
    message = refused("infer-schema", SAMPLE, "--target", "churn")
    assert message.startswith(f"{SAMPLE} has no column 'churn' (the nearest is 'churned'); ")
    message = refused("infer-schema", SAMPLE, "--target", "churned", "--key", "churned")
    assert message == "the target 'churned' can't be a key, or excluded"


def test_predictions_without_a_model(refused):
    message = refused("predict", "--data", SAMPLE, "--output", "reports/predictions.csv")
    assert message == "no model at models/model.onnx; run: uv run train"


def test_parquet_that_is_none(project, refused):
    assert f"{SAMPLE} is not Parquet" in refused("train", "--data", SAMPLE)


def test_a_wrong_config(project, refused):
    config = project.path / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("target: churned", "target: left"), encoding="utf-8")
    assert "config.yaml names the column 'left', but schema.yaml does not" in refused("train")
    config.write_text(text.replace("workers:", "worker:"), encoding="utf-8")
    assert "config.yaml: serving.worker" in refused("app.py")
    config.unlink()
    assert "no config.yaml in" in refused("pipeline.py")


def test_what_can_go_wrong_after_the_pipeline(run, refused):
    assert run("pipeline.py").returncode == 0
    message = refused("train", "--model", "forest")
    assert message.startswith("no model 'forest' for a classification (the nearest is 'random_")
    assert "must end in .onnx" in refused("train", "--output", "models/model.pkl")


def test_a_target_with_one_class(project, sample, run, refused):
    lines = [line for line in sample.splitlines() if not line.lower().strip().endswith("no")]
    (project.path / SAMPLE).write_text("\n".join(lines), encoding="utf-8")
    assert run("pipeline.py").returncode == 0
    assert "the target 'churned' has 1 class(es)" in refused("train")


def test_a_broken_model_file_and_a_port_in_use(project, run, refused):
    model = project.path / "models" / "model.onnx"
    model.parent.mkdir()
    model.write_bytes(b"no model")
    assert "models/model.onnx can't be served" in refused("app.py")
    assert run("pipeline.py").returncode == run("train").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"can't listen on 127.0.0.1:{port}" in refused("app.py", "--port", str(port))
