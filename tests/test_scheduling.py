"""The snippets of docs/production.md run a night: by cron, systemd, Airflow and the rest."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from conftest import PATIENCE, install
from test_readme import blocks

pytestmark = pytest.mark.slow

AIRFLOW = ["uvx", "-q", "--from", "apache-airflow==3.3.2"]
AIRFLOW += ["--exclude-newer", "2026-11-20", "airflow"]  # with what it needs as it was that day
PLACE = "/path/to/project"


@pytest.fixture(scope="module")
def project(bake, tmp_path_factory):
    """An installed project, in a path with blanks."""
    return install(bake(into=tmp_path_factory.mktemp("My Projects")))


@pytest.fixture(autouse=True)
def no_record(project):
    """Let each test begin without a run on record."""
    for name in ("logs", "models"):
        shutil.rmtree(project.path / name, ignore_errors=True)


def snippets(project, language):
    """The blocks of the page in a language, with the project's folder in its place."""
    texts = blocks(project.path / "docs" / "production.md", language)
    return [text.replace(PLACE, str(project.path)) for text in texts]


def runs(project):
    """The runs on record, after a look that each row is accounted for."""
    record = project.path / "logs" / "pipeline.jsonl"
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    found = [json.loads(line) for line in lines]
    for run in found:
        parts = (run[f"rows_{name}"] for name in ("kept", "rejected", "duplicate"))
        assert run["rows_read"] == sum(parts)
    return [run["status"] for run in found]


def is_trained(project):
    """Whether there is a model."""
    return (project.path / "models" / "model.onnx").exists()


@contextmanager
def no_raw_file(project):
    """Take the raw files away for a while."""
    raw = project.path / "data" / "raw"
    away = raw.rename(raw.with_name("away"))
    try:
        yield
    finally:
        away.rename(raw)


def cron_table(project):
    """What is given to `crontab`."""
    (table,) = (text for text in snippets(project, "text") if "MAILTO" in text)
    return table


def test_cron_runs_the_pipeline(project):
    def crontab(*options, text=None):
        return project.run("crontab", *options, input=text)

    before = crontab("-l").stdout
    every_minute, changed = re.subn(r"(?m)^30 4 ", "* * ", cron_table(project))
    assert changed == 1
    assert crontab("-", text=every_minute).returncode == 0
    daemon = subprocess.Popen(["cron", "-f"])  # ends at once where one is running
    try:
        deadline = time.monotonic() + 180
        while not is_trained(project):
            assert time.monotonic() < deadline, "cron has not run the pipeline: is this root?"
            time.sleep(0.2)
    finally:
        crontab("-", text=before) if before else crontab("-r")
        daemon.terminate()
        daemon.wait(timeout=PATIENCE)
    assert runs(project)[0] == "ok"


def test_cron_sends_a_mail_only_if_a_run_fails(project):
    line = cron_table(project).splitlines()[-1].removeprefix("30 4 * * * ")
    command = ["env", "-i", "-C", "/", "PATH=/usr/bin:/bin", "sh", "-c", line]
    assert project.run(*command).stdout == ""
    with no_raw_file(project):
        (project.path / "models" / "model.onnx").unlink()
        assert "error: no file matches" in project.run(*command).stdout
    assert runs(project) == ["ok", "failed"]
    assert not is_trained(project)


def test_systemd_takes_the_units_and_their_command_runs_the_pipeline(project, tmp_path):
    service, timer = snippets(project, "systemd")
    files = [tmp_path / "customer_churn.service", tmp_path / "customer_churn.timer"]
    for file, text in zip(files, (service, timer), strict=True):
        file.write_text(text, encoding="utf-8")
    checked = project.run("systemd-analyze", "verify", *files)
    assert (checked.returncode, checked.stderr) == (0, "")
    files[0].write_text(service.replace("Timeout", "Tmeout"), encoding="utf-8")
    assert "Unknown key" in project.run("systemd-analyze", "verify", *files).stderr
    when = re.search(r"OnCalendar=(.*)", timer)[1]
    for spelling in (when, f"{when} Europe/Berlin"):
        assert project.run("systemd-analyze", "calendar", spelling).returncode == 0
    folder = re.search(r"WorkingDirectory=(.*)", service)[1]
    commands = [shlex.split(line) for line in re.findall(r"ExecStart=(.*)", service)]
    for command in commands:
        assert project.run("env", "-i", "-C", folder, *command).returncode == 0
    assert is_trained(project)
    with no_raw_file(project):
        assert project.run("env", "-i", "-C", folder, *commands[0]).returncode == 2
    assert runs(project) == ["ok", "failed"]


def test_the_workflow_of_github_runs_the_pipeline_and_keeps_what_it_wrote(project):
    text = (project.path / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    _, _, run, _, upload = yaml.safe_load(text)["jobs"]["pipeline"]["steps"]
    assert project.run("bash", "-ec", run["run"]).returncode == 0
    assert runs(project) == ["ok"]
    assert is_trained(project)
    assert upload["if"] == "always()"
    assert all(any((project.path / kept).iterdir()) for kept in upload["with"]["path"].split())
    page = (project.path / "docs" / "production.md").read_text(encoding="utf-8")
    hour, minute = re.search(r"(\d\d):(\d\d) because", page).groups()
    assert f'cron: "{int(minute)} {int(hour)} * * *" # UTC' in text


@pytest.mark.slowest
def test_airflow_runs_the_pipeline(project, tmp_path):
    (text,) = (text for text in snippets(project, "python") if "airflow" in text)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "nightly.py").write_text(text, encoding="utf-8")
    home = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def airflow(*command):
        return project.run(*AIRFLOW, *command, env=os.environ | home)

    made = airflow("db", "migrate")
    assert made.returncode == 0, made.stderr
    good = airflow("dags", "test", "customer_churn")
    assert good.returncode == 0, good.stdout + good.stderr
    assert is_trained(project)
    with no_raw_file(project):
        bad = airflow("dags", "test", "customer_churn")
    assert bad.returncode != 0
    assert "error: no file matches" in bad.stdout + bad.stderr
    assert runs(project) == ["ok", "failed"]


def test_the_task_of_windows_is_made_of_documented_options(project):
    (text,) = snippets(project, "bat")
    options, _, task = text.partition("/TR ")
    assert re.findall(r"/\w+", options) == ["/Create", "/TN", "/SC", "/ST", "/RU", "/RP"]
    assert task.endswith(' pipeline.py && .venv\\Scripts\\train.exe"\n')
    page = (project.path / "docs" / "production.md").read_text(encoding="utf-8")
    assert "not tested on Windows" in page


def test_the_run_on_the_page_is_that_of_the_sample(project):
    (promised,) = (json.loads(text) for text in snippets(project, "json"))
    assert project.run("uv", "run", "pipeline.py").returncode == 0
    record = (project.path / "logs" / "pipeline.jsonl").read_text(encoding="utf-8")
    varying = {"time": promised["time"], "seconds": promised["seconds"]}
    assert json.loads(record) | varying == promised


@pytest.mark.parametrize(
    ("status", "hours", "problem"),
    [
        (None, 0, "no run is on record"),
        ("torn", 0, "no run is on record"),
        ("failed", 1, "the last run failed: no file"),
        ("ok", 27, "no run since "),
        ("ok", 25, ""),
    ],
)
def test_the_monitor_sees_a_run_that_failed_and_one_that_is_missing(
    project, tmp_path, status, hours, problem
):
    (text,) = (text for text in snippets(project, "python") if "pipeline.jsonl" in text)
    file = tmp_path / "monitor.py"
    file.write_text(text, encoding="utf-8")
    start = datetime.now(UTC) - timedelta(hours=hours)
    last = {"time": start.isoformat(timespec="seconds"), "status": status, "error": "no file"}
    lines = {None: [], "torn": ['{"time": "2026']}.get(status, [json.dumps(last)])
    if lines:
        (project.path / "logs").mkdir()
        record = "\n".join(['{"status": "ok"}', *lines, ""])
        (project.path / "logs" / "pipeline.jsonl").write_text(record, encoding="utf-8")
    result = project.run(sys.executable, str(file))
    assert result.returncode == bool(problem)
    assert len(result.stderr.splitlines()) == bool(problem)
    assert result.stderr.startswith(problem)
