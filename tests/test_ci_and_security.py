"""GitHub takes the workflows, their commands are those of the docs, and SECURITY.md holds."""

import json
import os
import pickle
import re
import shlex
import subprocess
import threading
import time
import tomllib
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from conftest import PATIENCE, TEMPLATE, install
from test_operations import instructions
from test_readme import block, blocks, shell
from test_serving import free_port, wait_until_it_answers

WORKFLOW = ".github/workflows/ci.yml"
BUILD = "docker build -t service ."
ROW = {"contract_type": "Monthly", "monthly_charge": 99.5, "age": 24, "support_calls": 3}

# The claims of SECURITY.md, in their order, by their first words; and what holds each.
PROOFS = {
    "`uv.lock` and": "test_the_lock_has_hashes_and_no_address test_files_of_different_locks_are_reported"
    " test_a_package_with_another_hash_is_not_installed",
    "A package that": "test_a_package_is_upgraded_as_the_page_says",
    "Every night": "test_the_audit_fails_if_a_pinned_package_has_a_vulnerability",
    "The CI also keeps": "test_the_list_of_packages_is_an_sbom",
    "To install a fixed version": "test_a_package_is_upgraded_as_the_page_says",
    "Read passwords": "test_ruff_refuses_secrets_and_pickles test_other_files_are_refused_with_their_way_out",
    "`.env` is": "test_a_secret_comes_from_a_file_that_git_ignores test_git_ignores_what_is_made"
    " test_the_image_runs_nothing_as_root_and_takes_nothing_else",
    "`docker run": "test_systemd_takes_the_line_on_secrets"
    " test_the_step_for_the_night_s_files_fits_into_the_workflow",
    "Git strips": "test_ids_and_kept_outputs_are_committed_and_the_noise_of_jupyter_is_not"
    " test_git_ignores_what_is_made",
    "Raw files": "test_raw_files_are_kept_out_of_git",
    "The service's log": "test_the_container_needs_no_file_to_write_and_no_privilege",
    "With `serving.log_predictions`": "test_served_predictions_are_logged_rotated_and_compared"
    " test_the_container_needs_no_file_to_write_and_no_privilege",
    "It is ONNX": "test_a_pickle_in_the_model_s_place_runs_nothing"
    " test_ruff_refuses_secrets_and_pickles",
    "A model file": "test_a_new_model_is_served_and_a_broken_one_is_not"
    " test_a_model_of_another_schema_is_refused_at_the_start",
    "It listens": "test_it_listens_on_this_machine_alone_by_default",
    "A request": "test_what_is_not_a_request_is_a_problem test_a_body_sent_in_chunks_has_the_same_limit",
    "Its pages": "test_pages_are_strict_and_have_a_field_for_each_feature",
    "`metrics_port`": "test_metrics_have_a_port_of_their_own",
    "It runs as": "test_the_page_has_the_numbers_of_the_image"
    " test_the_image_runs_nothing_as_root_and_takes_nothing_else",
    "It writes no file": "test_the_container_needs_no_file_to_write_and_no_privilege",
}


@pytest.fixture(scope="module")
def project(bake):
    """The project; a test leaves it as it found it."""
    return bake()


def workflow(project):
    """The project's workflow."""
    return yaml.safe_load((project.path / WORKFLOW).read_text(encoding="utf-8"))


def commands(job):
    """What a job runs."""
    return [step["run"] for step in job["steps"] if "run" in step]


def security(project):
    """The text of SECURITY.md."""
    return (project.path / "SECURITY.md").read_text(encoding="utf-8")


def lint(project, file):
    """Have a workflow checked by its schema and by actionlint; return what they find."""
    schema = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))
    actionlint = ("actionlint", "-oneline", "-shellcheck=", "-pyflakes=", str(file))
    results = [project.run(*tool) for tool in (schema, actionlint)]
    return [result.stdout for result in results if result.returncode]


def test_the_schema_and_actionlint_find_nothing_in_the_workflows(project, tmp_path):
    for folder in (project.path, TEMPLATE):
        assert lint(project, folder / WORKFLOW) == []
    text = (project.path / WORKFLOW).read_text(encoding="utf-8")
    file = tmp_path / "ci.yml"
    for right, wrong, finders in (
        ("runs-on", "runs-at", 2),
        ("30 4 * * *", "30 24 * * *", 1),
        ("macos-latest", "macos-lates", 1),
    ):
        file.write_text(text.replace(right, wrong), encoding="utf-8")
        assert len(lint(project, file)) == finders, wrong


def test_zizmor_finds_nothing_in_the_workflows(project, tmp_path):
    audit = ("zizmor", "--offline", "--quiet", "--min-severity", "medium")
    for folder in (project.path, TEMPLATE):
        result = project.run(*audit, str(folder / ".github"))
        assert result.returncode == 0, result.stdout
    text = (project.path / WORKFLOW).read_text(encoding="utf-8")
    (tmp_path / "ci.yml").write_text(re.sub("@[0-9a-f]{40}", "@v7", text), encoding="utf-8")
    assert "unpinned-uses" in project.run(*audit, str(tmp_path / "ci.yml")).stdout


def test_the_workflow_runs_the_commands_of_the_docs(project):
    pages = [*project.path.glob("*.md"), *project.path.glob("docs/*.md")]
    docs = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    content = workflow(project)
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["steps"][0]["with"] == {"persist-credentials": False}
        assert commands(job)
        for command in commands(job):
            if command == BUILD:
                assert f"#   {BUILD} &&" in (project.path / "Dockerfile").read_text("utf-8")
                continue
            assert f"\n{command}\n" in docs or f"\n| `{command}` |" in docs, command
    assert block(project.path / "README.md", "ruff").splitlines() == [
        "uv run setup-clone",
        *commands(content["jobs"]["check"])[:-2],
    ]
    upload = content["jobs"]["check"]["steps"][-1]
    assert upload["if"] == "always()"
    assert f"`{upload['with']['path']}`" in docs


def test_each_event_has_its_jobs(project):
    jobs = workflow(project)["jobs"]

    def started(event):
        return {
            name
            for name, job in jobs.items()
            if eval(job["if"].replace("github.event_name", repr(event)).replace("||", "or"))
        }

    for event in ("push", "pull_request"):
        assert started(event) == {"check", "test"}
    assert started("schedule") == {"pipeline", "audit"}
    assert started("workflow_dispatch") == set(jobs)
    assert commands(jobs["pipeline"]) == ["uv run pipeline.py && uv run train", BUILD]


def test_the_tests_run_on_three_systems_and_on_the_python_of_the_image(project):
    job = workflow(project)["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert commands(job) == ["uv run setup-clone", "uv run pipeline.py", "uv run pytest"]
    pyproject = tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["requires-python"] == f">={matrix['python'][0]}"
    images = [rest for name, rest in instructions(project) if name == "FROM"]
    for image in images:
        assert image.startswith(f"python:{matrix['include'][0]['python']}-")


def test_the_step_for_the_night_s_files_fits_into_the_workflow(project, tmp_path):
    page = project.path / "docs" / "production.md"
    (step,) = (text for text in blocks(page, "yaml") if "secrets." in text)
    text = (project.path / WORKFLOW).read_text(encoding="utf-8")
    (place,) = re.findall(r"^ *# Here: .*\n", text, re.MULTILINE)
    indented = re.sub("^", " " * place.index("#"), step.rstrip("\n"), flags=re.MULTILINE)
    file = tmp_path / "ci.yml"
    file.write_text(text.replace(place, f"{indented}\n"), encoding="utf-8")
    assert lint(project, file) == []
    steps = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]["pipeline"]["steps"]
    assert [list(step) for step in steps[2:4]] == [["run", "env"], ["run"]]


def test_each_claim_on_security_has_its_tests(project):
    claims = re.findall(r"^- (.*)", security(project), re.MULTILINE)
    files = [*TEMPLATE.glob("tests/**/*.py"), *project.path.glob("tests/*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for claim, (start, tests) in zip(claims, PROOFS.items(), strict=True):
        assert claim.startswith(start)
        for name in tests.split():
            assert f"\ndef {name}(" in code, name


def test_requirements_are_exported_by_one_command(project):
    pages = [*project.path.glob("*.md"), *project.path.glob("docs/*.md"), project.path / WORKFLOW]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    commands = re.findall("uv export --locked [^&\n]*[^ &\n]", "\n".join(texts))
    assert len(commands) >= 4
    (command,) = set(commands)
    code = (project.path / "src/customer_churn/tools/checks.py").read_text(encoding="utf-8")
    (export,) = re.findall(r'^EXPORT = "(.*)"$', code, re.MULTILINE)
    assert f"{export} -o requirements.txt" == command


def test_the_page_has_the_numbers_of_the_image(project):
    said = dict(instructions(project))
    user, group = said["USER"].split(":")
    assert f"user {user} of group {group}," in security(project)
    assert f"and listens on port {said['EXPOSE']}." in security(project)


def test_the_page_names_the_author_as_typed(bake):
    assert "to O'Neil \\<b\\>, and" in security(bake(author_name="O'Neil <b>"))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('password = "hunter2"', "S105"),
        ('connect(password="hunter2")', "S106"),
        ("pickle.load(file)", "S301"),
        ("yaml.load(text)", "S506"),
        ("requests.get(address, verify=False)", "S501"),
    ],
)
def test_ruff_refuses_secrets_and_pickles(project, line, rule):
    code = f"import pickle\n\nimport requests\nimport yaml\n\n{line}\n"
    metadata = {"language_info": {"name": "python"}}
    cell = {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "id": "a"}
    notebook = json.dumps(
        {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    )
    for name, text in (("src/a.py", code), ("notebooks/a.ipynb", notebook)):
        found = project.run("ruff", "check", "--stdin-filename", name, "-", input=text).stdout
        assert f"{rule} " in found, found


def test_raw_files_are_kept_out_of_git(bake):
    project = bake()
    for folder in (project.path, project.path / "second"):
        (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "raw" / "orders.csv").touch()
    status = ("git", "status", "--porcelain", "--untracked-files=all")
    assert project.run(*status).stdout == ""
    (line,) = re.findall(r"`(!/data/raw/[^`]*)` to `\.gitignore`", security(project))
    with (project.path / ".gitignore").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    listed = project.run(*status).stdout
    assert listed == " M .gitignore\n?? data/raw/orders.csv\n"


@pytest.mark.slow
def test_a_secret_comes_from_a_file_that_git_ignores(ready):
    file = ready.path / ".env"
    file.write_text("DATABASE_URL=somewhere\n", encoding="utf-8")
    ask = ["python", "-c", "import os; print(os.environ.get('DATABASE_URL'))"]
    *start, script = block(ready.path / "SECURITY.md", "--env-file").split()
    try:
        assert script == "pipeline.py"
        assert ready.run(*start, *ask).stdout == "somewhere\n"
        assert ready.run("uv", "run", *ask).stdout == "None\n"
        assert ready.run("git", "status", "--porcelain").stdout == ""
    finally:
        file.unlink()


@pytest.mark.slow
def test_systemd_takes_the_line_on_secrets(project, tmp_path):
    (line,) = re.findall(r"`(EnvironmentFile=.*?)`", security(project))
    (unit, _) = blocks(project.path / "docs" / "production.md", "systemd")
    file = tmp_path / "nightly.service"
    folder = {"/path/to/project/.venv/bin/python": "/bin/sh", "/path/to/project": str(tmp_path)}
    for text, problems in ((line, False), (line.replace("File", "Fil"), True)):
        content = unit.replace("[Service]", f"[Service]\n{text}")
        for old, new in folder.items():
            content = content.replace(old, new)
        file.write_text(content, encoding="utf-8")
        assert bool(project.run("systemd-analyze", "verify", str(file)).stderr) == problems


@contextmanager
def vulnerabilities(*names):
    """Serve OSV's API, with a vulnerability in each named package; yield what was asked."""
    heard = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, version = question["package"]["name"], question["version"]
            heard[name] = version
            vulnerability = {
                "id": "PYSEC-2026-1",
                "summary": "a vulnerability",
                "modified": "2026-01-01T00:00:00Z",
                "affected": [{"package": question["package"], "versions": [version]}],
            }
            answer = {"vulns": [vulnerability]} if name in names else {}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()


@pytest.mark.slow
def test_the_audit_fails_if_a_pinned_package_has_a_vulnerability(project):
    command, _, _ = commands(workflow(project)["jobs"]["audit"])
    assert f"\n{command}\n" in security(project)
    for names, code in (((), 0), (("werkzeug",), 1)):
        with vulnerabilities(*names) as (address, heard):
            result = project.run(*shlex.split(command), "--osv-url", address)
        assert result.returncode == code, result.stderr
        assert ("PYSEC-2026-1" in result.stdout) == bool(names)
    lock = (project.path / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+) \\$", lock, re.MULTILINE)
    assert len(pins) > 100
    assert set(pins) <= set(heard.items())


@pytest.mark.slow
def test_the_list_of_packages_is_an_sbom(ready):
    _, command, _ = commands(workflow(ready)["jobs"]["audit"])
    (ready.path / "reports").mkdir(exist_ok=True)
    assert ready.run(*command.split()).returncode == 0
    content = json.loads((ready.path / "reports" / "sbom.json").read_text(encoding="utf-8"))
    assert content["bomFormat"] == "CycloneDX"
    assert "onnxruntime" in {component["name"] for component in content["components"]}


@pytest.mark.slow
def test_a_package_is_upgraded_as_the_page_says(bake):
    project = install(bake())
    page = (project.path / "docs" / "how-to.md").read_text(encoding="utf-8")
    export = re.search("^uv export .*$", page, re.MULTILINE)[0].split()
    (upgrade,) = re.findall(r"`(uv lock --upgrade-package) NAME`", security(project))

    def upgrade_to(wanted):
        for command in ([*upgrade.split(), wanted], export):
            result = project.run(*command)
            assert result.returncode == 0, result.stderr
        files = [project.path / name for name in ("requirements.txt", "uv.lock")]
        texts = [file.read_text(encoding="utf-8") for file in files]
        pattern = r'^(?:werkzeug==|name = "werkzeug"\nversion = ")([\d.]+)'
        return {re.search(pattern, text, re.MULTILINE)[1] for text in texts}

    assert upgrade_to("werkzeug==3.1.3") == {"3.1.3"}
    (newest,) = upgrade_to("werkzeug")
    assert newest != "3.1.3"

    (line,) = re.findall("`(exclude-newer-package = [^`]*)`", security(project))
    settings = project.path / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    line = line.replace("NAME", "werkzeug")
    settings.write_text(text.replace("exclude-newer =", f"{line}\nexclude-newer ="), "utf-8")
    assert upgrade_to("werkzeug")
    assert project.run("uv", "lock", "--check").returncode == 0
    assert "werkzeug" in (project.path / "uv.lock").read_text("utf-8").split("[[package]]")[0]


@pytest.mark.slow
def test_files_of_different_locks_are_reported(ready):
    requirements = ready.path / "requirements.txt"
    before = requirements.read_text(encoding="utf-8")
    try:
        requirements.write_text(before.replace("werkzeug==", "werkzeug==0."), encoding="utf-8")
        check = ("uv", "run", "pre-commit", "run", "pitfalls", "--files", "requirements.txt")
        result = ready.run(*check)
        assert result.returncode == 0
        assert "warning: requirements.txt does not fit uv.lock; run: uv export " in result.stdout
        shell("git commit --quiet --all --no-verify --message different", ready.path)
        *_, compare = commands(workflow(ready)["jobs"]["audit"])
        assert ready.run("sh", "-ec", compare).returncode == 1
    finally:
        shell("git reset --quiet --hard HEAD~", ready.path)


@pytest.mark.slow
def test_a_package_with_another_hash_is_not_installed(bake, tmp_path):
    project = bake()
    file = project.path / "requirements.txt"
    lock = file.read_text(encoding="utf-8")
    (pins,) = re.findall(r"^flask-swagger-ui==(?:.*\\\n)+.*\n", lock, re.MULTILINE)
    virtual = tmp_path / "venv"
    assert project.run("uv", "venv", "--seed", str(virtual)).returncode == 0
    (install,) = (rest for name, rest in instructions(project) if "uv venv" in rest)
    image = shlex.split(install.split("&&")[1])
    first = image.index("--group")
    pip = [str(virtual / "bin" / "pip"), "install", "--no-deps", "-r", "one.txt"]
    variables = os.environ | {"VIRTUAL_ENV": str(virtual)}
    for text, right in ((re.sub("sha256:.{9}", "sha256:000000000", pins), False), (pins, True)):
        file.write_text(lock.replace(pins, text), encoding="utf-8")
        (project.path / "one.txt").write_text(text, encoding="utf-8")
        for command in (pip, [*image[:first], "flask-swagger-ui"]):
            result = project.run(*command, env=variables)
            assert (result.returncode == 0) == right, result.stderr
            assert right or "hash" in result.stderr.lower()


class Trap:
    """A pickle of it makes a file when it is loaded."""

    def __reduce__(self):
        return exec, ("open('trapped', 'w').close()",)


@pytest.mark.slow
def test_a_pickle_in_the_model_s_place_runs_nothing(trained):
    (trained.path / "models" / "model.onnx").write_bytes(pickle.dumps(Trap()))
    result = trained.run(trained.python, "app.py", "--port", str(free_port()))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert not (trained.path / "trapped").exists()


# No engine runs where these tests do: this is what the options that SECURITY.md gives it do.
READ_ONLY = """
for place in $(cut -d " " -f 2 /proc/mounts); do
    mount -o remount,bind,ro "$place" 2> /dev/null
done
! touch written /tmp/written && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


@pytest.mark.slow
def test_the_container_needs_no_file_to_write_and_no_privilege(trained):
    options = ["--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"]
    assert " ".join(options) in block(trained.path / "SECURITY.md", "--read-only")
    port = free_port()
    _, *command = json.loads(dict(instructions(trained))["CMD"])
    script = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh"]
    process = subprocess.Popen(
        [*script, str(trained.python), *command, "--port", str(port)],
        cwd=trained.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        wait_until_it_answers(process, port)
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":\t", 1) for line in file)
        assert (status["CapEff"].strip("0\n"), status["NoNewPrivs"]) == ("", "1\n")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict",
            data=json.dumps({"features": ROW}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert json.loads(answer.read())["prediction"] == "Yes"
        time.sleep(0.5)  # the server logs a request a little after its answer
    finally:
        process.terminate()
        log, _ = process.communicate(timeout=PATIENCE)
    assert "POST '/predict' 200" in log
    assert "Monthly" not in log
    assert process.returncode == 0
