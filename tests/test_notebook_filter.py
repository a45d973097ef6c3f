"""Outputs of notebooks stay in the folder and out of git, and each commit is checked."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

FIRST = "notebooks/01_data_exploration.ipynb"
SECOND = "notebooks/02_feature_engineering.ipynb"
SET_UP = "uv run setup-clone"
SECRET = "an output of a run"

# Of a clone, whatever the environment's own project is.
SET_UP_HERE = (
    "import sys; sys.path.insert(0, 'src');"
    "from customer_churn.tools import setup_clone; setup_clone.main()"
)


# --- what is in a notebook ---


def read(path):
    """Read a notebook."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, notebook):
    """Write a notebook as Jupyter does."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def code(*lines, id="a", **metadata):
    """Make a cell."""
    cell = {"cell_type": "code", "execution_count": None, "id": id, "metadata": metadata}
    return cell | {"outputs": [], "source": list(lines)}


def new(path, *cells):
    """Write a notebook of these cells."""
    write(path, {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def run_cells(path, editor="Python 3"):
    """Write into a notebook what a run in an editor writes."""
    notebook = read(path)
    for count, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] == "code":
            output = {"name": "stdout", "output_type": "stream", "text": [f"{SECRET}\n"]}
            cell |= {"execution_count": count, "outputs": [output]}
            cell["metadata"] |= {"execution": {"iopub.execute_input": "now"}}
    kernel = {"name": "python3", "display_name": editor, "language": "python"}
    language = {"name": "python", "version": "3.11.7"}
    notebook["metadata"] |= {"kernelspec": kernel, "language_info": language, "widgets": {}}
    write(path, notebook)


def edit(path, line, cell=0):
    """Add a line to a cell."""
    notebook = read(path)
    notebook["cells"][cell]["source"] += ["\n", line]
    write(path, notebook)


# --- projects and clones ---


def git(project, *arguments):
    """Run git, which must succeed, and return what it prints."""
    result = project.run("git", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(project, *arguments):
    """Run git, which must fail, and return what it prints."""
    result = project.run("git", *arguments)
    assert result.returncode != 0, result.stdout
    return result.stdout + result.stderr


def commit_unchecked(project):
    """Commit all there is without the hooks."""
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--no-verify", "--message", "Everything")


def outputs_in_commits(project):
    """Return the notebooks of the last commit that hold an output of `run_cells`."""
    result = project.run("git", "grep", "--name-only", SECRET, "HEAD", "--", "*.ipynb")
    return [line.removeprefix("HEAD:") for line in result.stdout.splitlines()]


def has_outputs(project, *files):
    """Say whether each of these still shows its outputs in the folder."""
    return all(SECRET in (project.path / file).read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def python(ready):
    """The Python of the environment that these clones share: it is outside of them."""
    (path,) = [*ready.path.glob(".venv/bin/python"), *ready.path.glob(".venv/Scripts/python.exe")]
    return path


@pytest.fixture
def set_up(python):
    """Run `setup-clone` in a project, in the shared environment; return what it prints."""

    def set_up(project):
        result = project.run(python, "-c", SET_UP_HERE)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return set_up


@pytest.fixture
def clone(ready, tmp_path, set_up):
    """Make a clone of the project, set up or not: `clone("second")`."""

    def clone(name, of=ready, ready_for_work=True):
        folder = tmp_path / name
        subprocess.run(["git", "clone", "--quiet", of.path, folder], check=True)
        if ready_for_work:
            set_up(Project(folder))
        return Project(folder)

    return clone


@pytest.fixture
def own_test(python):
    """Run the project's own test of its outputs in git; return what it prints."""

    def own_test(project):
        options = ("-q", "-p", "no:cacheprovider", "-k", "git_holds", "tests/test_notebooks.py")
        variables = os.environ | {"PYTHONPATH": "src"}
        return project.run(python, "-m", "pytest", *options, env=variables).stdout

    return own_test


# --- after baking ---


def test_git_works_before_there_is_an_environment(bake, ready):
    project = bake()
    assert git(project, "status", "--short") == ""
    (project.path / "note.txt").write_text("mine", encoding="utf-8")
    commit_unchecked(project)
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    assert SET_UP in refused(project, "add", ".")
    assert SET_UP in refused(project, "commit", "--allow-empty", "--message", "Nothing")
    os.symlink(ready.path / ".venv", project.path / ".venv")
    git(project, "add", FIRST)
    git(project, "commit", "--quiet", "--message", "Mine")
    assert "# mine" in git(project, "show", "--no-textconv", f"HEAD:{FIRST}")
    assert outputs_in_commits(project) == []
    assert has_outputs(project, FIRST)


def test_baking_leaves_the_repository_alone_that_a_hook_of_git_points_at(
    bake, tmp_path, monkeypatch
):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    before = (tmp_path / ".git" / "config").read_text(encoding="utf-8")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    project = bake()
    assert (tmp_path / ".git" / "config").read_text(encoding="utf-8") == before
    assert "nbstripout" in (project.path / ".git" / "config").read_text(encoding="utf-8")


def test_a_failure_of_git_does_not_fail_the_project(bake, tmp_path, monkeypatch):
    program = tmp_path / "git"
    lines = ("#!/bin/sh", 'case " $* " in *" config "*) exit 255;; esac')
    real = f'exec {shutil.which("git")} "$@"'
    program.write_text("\n".join([*lines, real]), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert (bake().path / "app.py").exists()


def test_two_projects_in_one_repository_are_both_checked(bake, tmp_path, set_up):
    top = Project(tmp_path / "it's big")
    subprocess.run(["git", "init", "--quiet", top.path], check=True)
    first, second = bake(into=top.path / "a b"), bake(into=top.path)
    assert not (first.path / ".git").exists()
    for project in (first, second):
        set_up(project)
    run_cells(first.path / FIRST)
    commit_unchecked(top)
    assert outputs_in_commits(top) == []
    assert has_outputs(first, FIRST)
    for project in (first, second):
        (project.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
        assert "F821" in refused(top, "commit", "--all", "--message", "Wrong")
        git(project, "checkout", "--", "app.py")
    (top.path / "legacy.py").write_text("import sys,os\n", encoding="utf-8")
    git(top, "add", ".")
    git(top, "commit", "--message", "What is outside of the projects is not checked")


# --- outputs stay in the folder, and out of the commits ---


def test_a_run_changes_nothing_for_git(clone):
    project = clone("clone")
    for file, editor in ((FIRST, ".venv (3.11.7)"), (SECOND, ".venv (3.12.1)")):
        run_cells(project.path / file, editor)
    (project.path / "notebooks" / "empty.ipynb").touch()
    git(project, "add", ".")
    assert git(project, "status", "--short") == "A  notebooks/empty.ipynb\n"
    assert has_outputs(project, FIRST, SECOND)


def test_ids_and_kept_outputs_are_committed_and_the_noise_of_jupyter_is_not(clone):
    project = clone("clone")
    cells = (code("1", id="one-id"), code("2", id="two", tags=["keep_output"]))
    new(project.path / "notebooks/new.ipynb", *cells)
    run_cells(project.path / "notebooks/new.ipynb")
    commit_unchecked(project)
    text = git(project, "show", "--no-textconv", "HEAD:notebooks/new.ipynb")
    one, two = json.loads(text)["cells"]
    assert [one["id"], two["id"]] == ["one-id", "two"]
    assert one["outputs"] == []
    assert two["outputs"][0]["text"] == [f"{SECRET}\n"]
    for noise in ("iopub", "language_info", "widgets", '"execution_count": 1'):
        assert noise not in text


@pytest.mark.parametrize("command", [("--all",), (FIRST,), ("--all", "--amend")])
def test_each_way_to_commit(clone, command):
    project = clone("clone")
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    run_cells(project.path / SECOND)
    git(project, "commit", "--message", "Mine", *command)
    assert "# mine" in git(project, "show", "--no-textconv", f"HEAD:{FIRST}")
    assert outputs_in_commits(project) == []
    assert has_outputs(project, FIRST, SECOND)


def test_what_is_not_staged_keeps_its_outputs_in_a_commit(clone):
    project = clone("clone")
    for file in (FIRST, SECOND):
        run_cells(project.path / file)
    edit(project.path / FIRST, "# staged")
    git(project, "add", FIRST)
    edit(project.path / FIRST, "# not staged")
    (project.path / "README.md").write_text("not staged either", encoding="utf-8")
    git(project, "commit", "--quiet", "--message", "Part of it")
    text = git(project, "show", "--no-textconv", f"HEAD:{FIRST}")
    assert "# staged" in text
    assert "# not staged" not in text
    assert has_outputs(project, FIRST, SECOND)


def test_the_difference_of_a_notebook_reads_like_a_script(clone):
    project = clone("clone")
    new(project.path / "notebooks/new.ipynb", code("a = 1"))
    commit_unchecked(project)
    new(project.path / "notebooks/new.ipynb", code("a = 2"))
    run_cells(project.path / "notebooks/new.ipynb")
    lines = git(project, "diff").splitlines()
    assert {"-a = 1", "+a = 2"} <= set(lines)
    for noise in (SECRET, '"cell_type"', "iopub", "language_info", "widgets"):
        assert noise not in "".join(lines)


# --- clones ---


def test_outputs_from_a_clone_that_was_not_set_up_do_not_pass(clone, own_test):
    careless = clone("careless", ready_for_work=False)
    said = own_test(careless)
    assert "1 passed" in said, "nothing is wrong yet"
    assert SET_UP in said, "but it may soon be"
    run_cells(careless.path / FIRST)
    commit_unchecked(careless)
    assert outputs_in_commits(careless) == [FIRST], "git takes outputs without a word"
    said = own_test(clone("checkout", of=careless, ready_for_work=False))  # as CI does it
    assert "1 failed" in said
    assert f"{FIRST}: outputs in git; run: {SET_UP}" in said


def test_a_merge_of_outputs_is_stopped_with_the_line_that_helps(clone):
    theirs, mine = clone("theirs", ready_for_work=False), clone("mine")
    edit(theirs.path / FIRST, "# theirs")
    for file in (FIRST, SECOND):
        run_cells(theirs.path / file)
    commit_unchecked(theirs)
    edit(mine.path / FIRST, "# mine", cell=-1)
    git(mine, "commit", "--quiet", "--all", "--no-verify", "--message", "Mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    said = refused(mine, "merge", "--no-edit", "FETCH_HEAD")
    assert f"{SECOND}: outputs in git" in said
    git(mine, "add", "--renormalize", ".")
    git(mine, "commit", "--quiet", "--no-edit")
    assert outputs_in_commits(mine) == []
    text = git(mine, "show", "--no-textconv", f"HEAD:{FIRST}")
    assert "# mine" in text and "# theirs" in text


def test_setting_up_twice_changes_nothing(clone, set_up):
    project = clone("clone")
    places = [project.path / ".git" / "config", *(project.path / ".git" / "hooks").iterdir()]
    before = [place.read_bytes() for place in places]
    assert "Each commit is checked" in set_up(project)
    assert [place.read_bytes() for place in places] == before


def test_the_hooks_of_others_are_left_with_a_line(clone, set_up, tmp_path):
    project = clone("clone", ready_for_work=False)
    hook = project.path / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    assert "is not this project's" in set_up(project)
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\nexit 0\n"
    shared = tmp_path / "hooks of the company"
    shared.mkdir()
    git(project, "config", "core.hooksPath", str(shared))
    assert str(shared) in set_up(project)
    assert list(shared.iterdir()) == [], "they would run in every other repository"


def test_outside_of_git_and_in_a_folder_of_another_user(clone, python, tmp_path, monkeypatch):
    project = clone("clone", ready_for_work=False)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as in many containers
    result = project.run(python, "-c", SET_UP_HERE)
    assert result.returncode == 2
    assert "safe.directory" in result.stderr
    assert "git init" not in result.stderr
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    shutil.rmtree(project.path / ".git")
    result = project.run(python, "-c", SET_UP_HERE)
    assert result.returncode == 2
    assert result.stderr.endswith("run: git init\n")
    assert len(result.stderr.splitlines()) == 1


# --- places ---


def test_the_folder_may_move_with_its_environment(bake, ready, tmp_path):
    project = bake(into=tmp_path)
    shutil.copytree(ready.path / ".venv", project.path / ".venv", symlinks=True)
    moved = Project(tmp_path / 'it\'s "half" of $HOME in Zürich')
    project.path.rename(moved.path)
    edit(moved.path / FIRST, "# mine")
    run_cells(moved.path / FIRST)
    git(moved, "commit", "--quiet", "--all", "--message", "Mine")
    assert outputs_in_commits(moved) == []
    assert has_outputs(moved, FIRST)
    (moved.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    assert "F821" in refused(moved, "commit", "--all", "--message", "Wrong")


def test_a_second_worktree(clone, tmp_path):
    first, second = clone("first"), Project(tmp_path / "second")
    git(first, "worktree", "add", "--quiet", str(second.path), "-b", "other")
    edit(second.path / FIRST, "# mine")
    run_cells(second.path / FIRST)
    git(second, "commit", "--quiet", "--all", "--message", "Mine")
    assert outputs_in_commits(second) == []
    (second.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    assert "F821" in refused(second, "commit", "--all", "--message", "Wrong")


def test_on_windows_the_settings_name_its_python(clone, python):
    project = clone("clone", ready_for_work=False)
    name = ".venv/Scripts/python.exe"
    script = SET_UP_HERE.replace("setup_clone.main()", f"from pathlib import Path; root = "
        f"setup_clone.ROOT; setup_clone.set_filter(root / '{name}'); "
        f"setup_clone.set_hooks(root / '{name}')")  # fmt: skip
    result = project.run(python, "-c", script)
    assert result.returncode == 0, result.stderr
    for setting in ("filter.nbstripout.clean", "diff.ipynb.textconv"):
        assert git(project, "config", setting).startswith(f"{name} src/")
    hook = (project.path / ".git" / "hooks" / "pre-commit").read_bytes()
    assert name.encode() in hook
    assert b"\r" not in hook and b"\\" not in hook


# --- what a commit is checked for ---

REFUSED = {
    "path": ([code('path = "/home/ada/table.csv"')], "cell 1: /home/ exists on one machine only"),
    "syntax": ([code("1 +")], "invalid-syntax"),
    "outputs": ([code("1") | {"execution_count": 1}], "new.ipynb: outputs in git; run: "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_notebook_is_refused_with_its_way_out(clone, name):
    project = clone("clone")
    cells, line = REFUSED[name]
    new(project.path / "notebooks/new.ipynb", *cells)
    git(project, "-c", "filter.nbstripout.clean=cat", "add", ".")
    said = refused(project, "commit", "--message", "Wrong")
    assert line in said
    assert "Traceback" not in said


def test_exploration_can_be_committed(clone):
    project = clone("clone")
    lines = ("import os, sys\n", "import json\n", "X_train=nowhere\n", "def f(x):\n")
    long = code(*lines, *["    x += 1\n"] * 30, "    return x")
    cells = [code(f"{number}", id=f"c{number}") for number in range(50)]
    new(project.path / "notebooks/new.ipynb", long, *cells)
    git(project, "add", ".")
    result = project.run("git", "commit", "--message", "Look around")
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "Undefined name `nowhere`" in said
    assert "new.ipynb: 51 cells, over 50; split it" in said


def test_other_files_are_refused_with_their_way_out(clone):
    project = clone("clone")
    slug = project.path / "src" / "customer_churn"
    (slug / "wrong.py").write_text('"""Wrong."""\nimport os\nx=nowhere\n', encoding="utf-8")
    (slug / "giant.py").write_text('"""Giant."""\n' + "X = 1\n" * 300, encoding="utf-8")
    (project.path / "big.csv").write_text("x" * 2_000_000, encoding="utf-8")
    git(project, "add", ".")
    said = refused(project, "commit", "--message", "Wrong")
    for line in (
        "F821 Undefined name `nowhere`",
        "run - uv run ruff check --fix",
        "run - uv run ruff format",
        "giant.py: 301 lines, over 300; split it",
        "big.csv: too large for git; keep it in data/raw/",
    ):
        assert line in said
