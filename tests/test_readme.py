"""The READMEs hold, word for word, on a machine that has Python and git and nothing else."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PATIENCE, TEMPLATE, Project

HEALTH = "http://127.0.0.1:8000/health"


def blocks(readme, language="sh"):
    """The fenced blocks of a README in a language."""
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def block(readme, word):
    """The one block of commands with that word in it."""
    (found,) = (text for text in blocks(readme) if word in text)
    return found


def leave_only_python(patch):
    """Have nothing on the PATH but the system's programs and Python: no uv, no cookiecutter."""
    python = Path(sys._base_executable).parent
    patch.setenv("PATH", os.pathsep.join([str(python), "/usr/bin", "/bin"]))


@pytest.fixture
def bare(monkeypatch):
    """Have nothing but Python, as on a machine without uv."""
    leave_only_python(monkeypatch)


def shell(script, folder):
    """Run commands as if pasted, stopping at the first that fails."""
    result = subprocess.run(
        ["bash", "-ec", script], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, f"{script}\n{result.stdout[-5000:]}\n{result.stderr[-5000:]}"
    return result


@contextmanager
def serving(script, folder):
    """Paste a line that serves, wait until it answers, and stop it in the end."""
    log = folder / "serving.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-ec", script],
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 600
        while not answers():
            text = log.read_text(encoding="utf-8")
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=PATIENCE)
        log.unlink()
    assert not answers()


def answers():
    """Say whether the service answers."""
    try:
        with urllib.request.urlopen(HEALTH, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_ci_runs_the_test_command_of_the_readme():
    line = block(TEMPLATE / "README.md", "uv run pytest").strip()
    assert (TEMPLATE / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == line


def test_the_commands_of_both_readmes_begin_alike(bake):
    start = block(TEMPLATE / "README.md", "cookiecutter").split(" && uvx")[0]
    readme = bake().path / "README.md"
    assert block(readme, "app.py").startswith(start)
    assert block(readme, "&& uv run pytest").startswith(start)


def test_both_readmes_show_the_same_tree(bake):
    ours, theirs = (blocks(folder / "README.md", "text")[0] for folder in (TEMPLATE, bake().path))
    assert ours == theirs
    assert "notebooks/" in ours


def test_the_best_possible_accuracy_is_the_sample_s_own():
    sample = TEMPLATE / "{{cookiecutter.project_slug}}" / "docs" / "own-table.md"
    best = re.search(r"Best possible accuracy \| ([\d.]+)", sample.read_text(encoding="utf-8"))[1]
    assert f"known: {best}." in (TEMPLATE / "README.md").read_text(encoding="utf-8")


def test_every_link_leads_somewhere(bake):
    for folder in (TEMPLATE, bake().path):
        for page in (*folder.glob("*.md"), *folder.glob("docs/*.md")):
            text = page.read_text(encoding="utf-8")
            for link, heading in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", text):
                target = page if not link else page.parent / link
                assert link.startswith("https://") or target.exists(), link
                if heading:
                    words = heading[1:].replace("-", " ")
                    anchors = re.sub(r"[^\w\s#]", "", target.read_text(encoding="utf-8")).lower()
                    assert f"## {words}\n" in anchors, heading


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    """The project that the line in the template's README makes and serves, without uv at first."""
    clone = tmp_path_factory.mktemp("pasted") / "template"
    shutil.copytree(TEMPLATE, clone, ignore=shutil.ignore_patterns(".git", ".uv", ".venv"))
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        leave_only_python(patch)
        with serving(block(clone / "README.md", "cookiecutter"), clone):
            print(f"README line to first answer: {time.monotonic() - start:.1f} s")
    return Project(clone.parent / "customer_churn")


@pytest.mark.slow
def test_one_pasted_line_bakes_runs_trains_and_serves(pasted):
    text = (pasted.path / "models" / "model.json").read_text(encoding="utf-8")
    metrics = json.loads(text)["metrics"]
    readme = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    best, reached = map(float, re.findall(r"(?:known:|reaches) (0\.\d+)", readme))
    assert round(metrics["accuracy"], 2) == reached
    assert metrics["accuracy"] > best - 0.02
    status = shell("git status --porcelain", pasted.path)
    assert status.stdout == "?? uv.lock\n"


@pytest.mark.slow
def test_the_readme_of_the_project_word_for_word(pasted, bare):
    """All blocks run in the project that the template's README has installed."""
    readme = pasted.path / "README.md"
    with serving(block(readme, "app.py"), pasted.path):
        answer = json.loads(shell(block(readme, "curl"), pasted.path).stdout)
        (promised,) = (json.loads(text) for text in blocks(readme, "json"))
        assert answer["prediction"] == promised["prediction"]
        assert answer["probabilities"] == pytest.approx(promised["probabilities"], abs=0.02)
    shell(block(readme, "&& uv run pytest"), pasted.path)
    path = 'export PATH="$PWD/.uv/bin:$PATH"\n'
    card = (pasted.path / "reports" / "model_card.html").read_text(encoding="utf-8")
    assert "data/processed/customers.parquet" in card  # the tests leave it alone
    shell(path + block(readme, "git add uv.lock"), pasted.path)
    shell(path + block(readme, "ruff"), pasted.path)
    text = readme.read_text(encoding="utf-8")
    table = re.findall(r"^\| `(uv run [\w.-]+)` \|", text, re.MULTILINE)
    assert len(table) == 9
    for command in table:
        help_text = shell(f"{path}{command} --help", pasted.path).stdout
        assert help_text.startswith("usage: ")
    assert shell("git status --porcelain", pasted.path).stdout == ""
