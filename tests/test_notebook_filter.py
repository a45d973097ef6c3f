"""Outputs of notebooks never reach a commit that CI passes, whatever git is asked to do."""

import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

FIRST = "notebooks/01_data_exploration.ipynb"
SECOND = "notebooks/02_feature_engineering.ipynb"
THIRD = "notebooks/03_model_prototyping.ipynb"
SET_UP = "uv run setup-clone"
SECRET = "an output of a run"
NOISE = (SECRET, '"cell_type"', "iopub", "language_info")

# A notebook of two cells, far enough apart to be two hunks of a difference.
LINES = [*(f"a{number} = {number}\n" for number in range(11)), "last = 11"]


# --- what stands in a notebook ---


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


def run_cells(path):
    """Write into a notebook what a run writes: outputs, counts, and the kernel's language."""
    notebook = read(path)
    for count, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] == "code":
            output = {"name": "stdout", "output_type": "stream", "text": [f"{SECRET}\n"]}
            cell |= {"execution_count": count, "outputs": [output]}
            cell["metadata"] |= {"execution": {"iopub.execute_input": "now"}}
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.11.7"}
    write(path, notebook)


def edit(path, line, cell=0):
    """Add a line to a cell."""
    notebook = read(path)
    notebook["cells"][cell]["source"] += ["\n", line]
    write(path, notebook)


# --- projects and clones ---


def git(project, *arguments, **options):
    """Run git, which must succeed, and return what it says."""
    result = project.run("git", *arguments, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(project, *arguments, **options):
    """Run git, which must fail, and return what it says."""
    result = project.run("git", *arguments, **options)
    assert result.returncode != 0, result.stdout
    return result.stderr


def status(project):
    """Return what git says of each changed file."""
    return git(project, "status", "--short").splitlines()


def commit_everything(project):
    """Commit all there is, and look at nothing."""
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--no-verify", "--message", "Everything")


def committed(project, file, commit="HEAD"):
    """Return the text of a file as it stands in a commit."""
    return git(project, "show", "--no-textconv", f"{commit}:{file}")


def outputs_in_commits(project):
    """Return the notebooks of the last commit that hold an output of `run_cells`."""
    result = project.run("git", "grep", "--name-only", SECRET, "HEAD", "--", "*.ipynb")
    return [line.removeprefix("HEAD:") for line in result.stdout.splitlines()]


def has_outputs(project, *files):
    """Say whether each of these still shows its outputs in the folder."""
    return all(SECRET in (project.path / file).read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def python(ready):
    """The Python of the environment that most of these clones share: it is outside of them."""
    (path,) = [*ready.path.glob(".venv/bin/python"), *ready.path.glob(".venv/Scripts/python.exe")]
    return path


@pytest.fixture
def set_up(python):
    """Run `setup-clone` in a project, in the shared environment."""

    def set_up(project):
        result = project.run(python, "-c", "import tools.notebooks as tool; tool.set_up_clone()")
        assert result.returncode == 0, result.stderr
        return result.stdout

    return set_up


@pytest.fixture
def clone(ready, tmp_path, set_up):
    """Make a clone of the project, set up or not: `clone("second")`."""

    def clone(name, of=ready, ready_for_work=True):
        folder = tmp_path / name
        subprocess.run(["git", "clone", "--quiet", of.path, folder], check=True)
        project = Project(folder)
        for notebook in folder.rglob("*.ipynb"):  # so old that git need not look at them again
            os.utime(notebook, (1e9, 1e9))
        status(project)
        if ready_for_work:
            set_up(project)
        return project

    return clone


@pytest.fixture
def complaints(python):
    """Run the project's own tests of its clone and its commits; return what they say."""

    def complaints(project, **options):
        names = "git_strips or hold_no_outputs"
        line = (
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/test_notebooks.py",
            "-k",
            names,
        )
        result = project.run(python, *line, **options)
        assert ("failed" in result.stdout) == (result.returncode == 1), result.stdout
        assert result.returncode in (0, 1), result.stdout + result.stderr
        return result.stdout if result.returncode else ""

    return complaints


@pytest.fixture(scope="module")
def installed(ready, tmp_path_factory):
    """A second clone with an environment of its own, after `uv run setup-clone`."""
    project = Project(tmp_path_factory.mktemp("installed") / "clone")
    subprocess.run(["git", "clone", "--quiet", ready.path, project.path], check=True)
    shutil.copy(ready.path / "uv.lock", project.path)
    result = project.run("uv", "run", "--quiet", "setup-clone")
    assert result.returncode == 0, result.stderr
    return project


# --- after baking ---


def test_the_first_commit_holds_no_outputs_and_git_works_without_an_environment(bake):
    project = bake()
    # As on a quick machine: git looks again at what was written together with its index.
    last = (project.path / "app.py").stat().st_mtime
    os.utime(project.path / ".git" / "index", (last, last))
    assert status(project) == []
    for file in (FIRST, SECOND, THIRD):
        cells = json.loads(committed(project, file))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    (project.path / "note.txt").write_text("# mine", encoding="utf-8")
    commit_everything(project)
    assert status(project) == []


def test_a_notebook_changed_before_there_is_an_environment_is_refused_loudly(bake, ready):
    project = bake()
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    assert SET_UP in refused(project, "add", ".")
    os.symlink(ready.path / ".venv", project.path / ".venv")
    git(project, "add", FIRST)
    git(project, "commit", "--quiet", "--message", "Mine")
    assert "# mine" in committed(project, FIRST)
    assert outputs_in_commits(project) == []
    assert has_outputs(project, FIRST)


def test_git_finds_nothing_to_strip_in_the_baked_notebooks(clone):
    project = clone("clone")
    git(project, "add", "--renormalize", ".")
    assert status(project) == []


def test_a_project_baked_inside_a_repository(bake, tmp_path, set_up, complaints):
    top = Project(tmp_path / "it's big")
    subprocess.run(["git", "init", "--quiet", top.path], check=True)
    project = bake(into=top.path / "a b")
    inside = project.path.relative_to(top.path)
    assert not (project.path / ".git").exists()
    assert complaints(project) == "", "red before anything is added"
    set_up(project)
    run_cells(project.path / FIRST)
    git(top, "add", ".")
    git(top, "commit", "--quiet", "--message", "From the top")
    edit(project.path / SECOND, "# mine")
    run_cells(project.path / SECOND)
    git(project, "commit", "--quiet", "--all", "--message", "From below")
    assert outputs_in_commits(top) == []
    assert has_outputs(project, FIRST, SECOND)
    assert status(top) == []
    assert complaints(project) == ""
    (project.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    for place in (top, project):
        assert "F821" in refused(place, "commit", "--all", "--message", "Wrong")
    assert "F821" in refused(top, "commit", "--message", "Wrong", str(inside / "app.py"))


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


# --- outputs stay in the folder, and out of the commits ---


def test_a_run_changes_nothing_for_git_and_stays_in_the_folder(clone):
    project = clone("clone")
    files = (FIRST, SECOND, THIRD)
    for file in files:
        run_cells(project.path / file)
    git(project, "add", ".")
    assert status(project) == []
    assert has_outputs(project, *files)


def test_ids_and_kept_outputs_are_committed_and_the_noise_of_jupyter_is_not(clone):
    project = clone("clone")
    cells = (code("1", id="one-id"), code("2", id="two", tags=["keep_output"]), code("3", id="x-3"))
    new(project.path / "notebooks/new.ipynb", *cells)
    run_cells(project.path / "notebooks/new.ipynb")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "A notebook")
    text = committed(project, "notebooks/new.ipynb")
    one, two, three = json.loads(text)["cells"]
    assert [cell["id"] for cell in (one, two, three)] == ["one-id", "two", "x-3"]
    assert one["outputs"] == three["outputs"] == []
    assert two["outputs"][0]["text"] == [f"{SECRET}\n"]
    assert {cell["execution_count"] for cell in (one, two, three)} == {None}
    assert "language_info" not in text
    assert "iopub" not in text
    assert read(project.path / "notebooks/new.ipynb")["cells"][0]["outputs"] != []


def test_a_notebook_run_by_jupyter_itself(clone, python):
    project = clone("clone")
    file = project.path / "notebooks/new.ipynb"
    new(file, code(f'print("{SECRET}")', id="first"), code("41 + 1", id="second"))
    options = ("--to", "notebook", "--execute", "--inplace")
    result = project.run(python, "-m", "jupyter", "nbconvert", *options, file)
    assert result.returncode == 0, result.stderr
    assert read(file)["cells"][1]["execution_count"] == 2
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "A notebook")
    cells = json.loads(committed(project, "notebooks/new.ipynb"))["cells"]
    assert [cell["id"] for cell in cells] == ["first", "second"]
    assert [cell["outputs"] for cell in cells] == [[], []]
    assert read(file)["cells"][0]["outputs"] != []


@pytest.mark.parametrize(
    "command",
    [
        ("commit", "--all", "--message", "Mine"),
        ("commit", "--message", "Mine", FIRST),
        ("commit", "--all", "--amend", "--no-edit"),
    ],
)
def test_each_way_to_commit(clone, command):
    project = clone("clone")
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    run_cells(project.path / SECOND)
    git(project, *command)
    assert "# mine" in committed(project, FIRST)
    assert outputs_in_commits(project) == []
    assert has_outputs(project, FIRST, SECOND)


def test_a_partly_staged_notebook(clone):
    project = clone("clone")
    file = project.path / "notebooks/new.ipynb"
    new(file, code(*LINES, id="one"), code(*LINES, id="two"))
    commit_everything(project)
    edit(file, "first = 1", cell=0)
    edit(file, "second = 2", cell=1)
    run_cells(file)
    git(project, "add", "--patch", input="y\nn\n")
    git(project, "commit", "--quiet", "--message", "The first of two changes")
    text = committed(project, "notebooks/new.ipynb")
    assert "first = 1" in text
    assert "second = 2" not in text
    assert SECRET not in text
    one, two = read(file)["cells"]
    assert one["outputs"] and two["outputs"]
    assert two["source"][-1] == "second = 2"
    assert status(project) == [" M notebooks/new.ipynb"]


def test_a_stash_holds_no_outputs_and_leaves_notebooks_alone_whose_code_is_added(clone):
    project = clone("clone")
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    run_cells(project.path / SECOND)
    git(project, "add", SECOND)  # only now git knows that nothing but outputs changed
    git(project, "stash")
    assert SECRET not in committed(project, FIRST, "stash@{0}")
    git(project, "stash", "pop")
    assert "# mine" in (project.path / FIRST).read_text(encoding="utf-8")
    assert has_outputs(project, SECOND)


def test_the_difference_of_a_notebook_reads_like_a_script(clone):
    project = clone("clone")
    new(project.path / "notebooks/new.ipynb", code("a = 1"))
    commit_everything(project)
    new(project.path / "notebooks/new.ipynb", code("a = 2"))
    run_cells(project.path / "notebooks/new.ipynb")
    for command in (("diff",), ("diff", "HEAD")):
        lines = git(project, *command).splitlines()
        assert {"-a = 1", "+a = 2"} <= set(lines)
        assert not [line for line in lines for noise in NOISE if noise in line]


# --- clones ---


@pytest.mark.parametrize("file", [FIRST, "analysis/new.ipynb"])
def test_outputs_from_a_clone_that_was_not_set_up_do_not_pass(clone, complaints, file):
    careless = clone("careless", ready_for_work=False)
    (careless.path / file).parent.mkdir(exist_ok=True)
    if file != FIRST:
        shutil.copy(careless.path / FIRST, careless.path / file)
    run_cells(careless.path / file)
    commit_everything(careless)
    assert outputs_in_commits(careless) == [file], "git takes outputs without a word"
    assert SET_UP in complaints(careless)
    checkout = clone("checkout", of=careless)  # as CI does it
    said = complaints(checkout)
    assert f"{file}: " in said
    assert SET_UP in said


def test_a_clone_set_up_by_uv_strips_and_checks(installed, complaints):
    run_cells(installed.path / FIRST)
    git(installed, "add", ".")
    assert status(installed) == []
    assert has_outputs(installed, FIRST)
    tests = ("tests/test_notebooks.py", "-k", "not top_to_bottom")
    result = installed.run("uv", "run", "pytest", "-q", *tests)
    assert result.returncode == 0, result.stdout + result.stderr


def test_setting_up_twice_changes_nothing(installed):
    places = [installed.path / ".git" / "config", *(installed.path / ".git" / "hooks").iterdir()]
    before = [place.read_bytes() for place in places]
    result = installed.run("uv", "run", "--quiet", "setup-clone")
    assert result.returncode == 0, result.stderr
    assert "not this project's" not in result.stdout
    assert [place.read_bytes() for place in places] == before


def test_the_hooks_of_others_are_left_with_a_line(clone, set_up):
    project = clone("clone", ready_for_work=False)
    hook = project.path / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    (line,) = (line for line in set_up(project).splitlines() if "pre-commit" in line)
    assert "is not this project's" in line
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\nexit 0\n"
    assert (project.path / ".git" / "hooks" / "pre-merge-commit").exists()


def test_hooks_that_all_repositories_share_are_left_with_a_line(clone, set_up, tmp_path):
    shared = tmp_path / "hooks of the company"
    shared.mkdir()
    project = clone("clone", ready_for_work=False)
    git(project, "config", "core.hooksPath", str(shared))
    assert str(shared) in set_up(project)
    assert list(shared.iterdir()) == [], "they would run in every other repository"


def test_the_commit_hook_says_that_the_filter_is_broken(clone):
    project = clone("clone")
    git(project, "config", "filter.nbstripout.clean", "cat")
    (project.path / "note.txt").write_text("# mine", encoding="utf-8")
    git(project, "add", ".")
    assert SET_UP in refused(project, "commit", "--message", "A note")


def test_the_tests_do_not_pass_where_git_refuses_to_look(clone, complaints, monkeypatch):
    project = clone("clone", ready_for_work=False)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as in many containers of CI
    assert complaints(project) != ""


def test_a_first_commit_without_the_settings_is_looked_at_too(clone, set_up):
    project = clone("clone", ready_for_work=False)
    shutil.rmtree(project.path / ".git")
    git(project, "init", "--quiet")
    set_up(project)
    git(project, "add", "notebooks", ".gitattributes")
    result = project.run("git", "commit", "--message", "Just the notebooks")
    assert "Traceback" not in result.stderr


# --- places ---


def test_the_folder_may_move_with_its_environment(installed, tmp_path):
    moved = Project(tmp_path / 'it\'s "half" of $HOME in Zürich')
    installed.path.rename(moved.path)
    try:
        edit(moved.path / FIRST, "# mine")
        run_cells(moved.path / FIRST)
        git(moved, "commit", "--quiet", "--all", "--message", "Mine")
        assert "# mine" in committed(moved, FIRST)
        assert outputs_in_commits(moved) == []
        assert has_outputs(moved, FIRST)
        (moved.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
        assert "F821" in refused(moved, "commit", "--all", "--message", "Wrong")
        git(moved, "checkout", "--", "app.py")
    finally:
        moved.path.rename(installed.path)


def test_without_its_environment_git_says_what_to_run(installed):
    aside = installed.path.parent / "aside"
    (installed.path / ".venv").rename(aside)
    try:
        edit(installed.path / SECOND, "# mine")
        assert SET_UP in refused(installed, "add", ".")
        git(installed, "add", "README.md")
        said = refused(installed, "commit", "--allow-empty", "--message", "Nothing")
        assert SET_UP in said
    finally:
        aside.rename(installed.path / ".venv")
        git(installed, "checkout", "--", SECOND)


def test_the_environment_may_be_elsewhere(clone, ready, tmp_path, monkeypatch):
    project = clone("clone", ready_for_work=False)
    shutil.copy(ready.path / "uv.lock", project.path)
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "Zoë's $env"))
    result = project.run("uv", "run", "--quiet", "setup-clone")
    assert result.returncode == 0, result.stderr
    assert not (project.path / ".venv").exists()
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    git(project, "commit", "--quiet", "--all", "--message", "Mine")
    assert "# mine" in committed(project, FIRST)
    assert outputs_in_commits(project) == []
    (project.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    assert "F821" in refused(project, "commit", "--all", "--message", "Wrong")


@pytest.mark.parametrize("inside", ["", "a b"])
def test_a_second_worktree(ready, tmp_path, set_up, inside):
    first, second = Project(tmp_path / "first"), Project(tmp_path / "second")
    folder = first.path / inside
    skip = shutil.ignore_patterns(".venv", ".git", "logs")
    shutil.copytree(ready.path, folder, ignore=skip)
    git(first, "init", "--quiet")
    set_up(Project(folder))
    commit_everything(first)
    git(first, "worktree", "add", "--quiet", str(second.path), "-b", "other")
    notebook = second.path / inside / FIRST
    edit(notebook, "# mine")
    run_cells(notebook)
    git(second, "commit", "--quiet", "--all", "--message", "Mine")
    assert outputs_in_commits(second) == []
    assert "# mine" in committed(second, notebook.relative_to(second.path).as_posix())
    (second.path / inside / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    assert "F821" in refused(second, "commit", "--all", "--message", "Wrong")


# --- merges ---


@pytest.fixture
def theirs(clone):
    """Another clone, not set up: it changed a notebook, added one, and committed its outputs."""
    project = clone("theirs", ready_for_work=False)
    edit(project.path / FIRST, "# theirs")
    new(project.path / "notebooks/new.ipynb", code("new = 1"))
    for file in (FIRST, THIRD, "notebooks/new.ipynb"):
        run_cells(project.path / file)
    commit_everything(project)
    return project


def test_a_merge_of_outputs_is_stopped_with_the_line_that_helps(clone, theirs, complaints):
    mine = clone("mine")
    edit(mine.path / FIRST, "# mine", cell=-1)
    git(mine, "commit", "--quiet", "--all", "--message", "Mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    said = refused(mine, "merge", "--no-edit", "FETCH_HEAD")
    assert "git add --renormalize ." in said
    assert FIRST not in said, "a notebook that both changed is stripped by the merge"
    git(mine, "add", "--renormalize", ".")
    git(mine, "commit", "--quiet", "--no-edit")
    assert outputs_in_commits(mine) == []
    assert has_outputs(mine, "notebooks/new.ipynb", THIRD)
    text = committed(mine, FIRST)
    assert "# mine" in text and "# theirs" in text
    assert status(mine) == []
    assert complaints(mine) == ""


def test_a_conflict_in_a_cell(clone, theirs):
    mine = clone("mine")
    edit(mine.path / FIRST, "# mine")
    run_cells(mine.path / SECOND)
    git(mine, "commit", "--quiet", "--all", "--message", "Mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    assert mine.run("git", "merge", "--no-edit", "FETCH_HEAD").returncode == 1
    assert f"UU {FIRST}" in status(mine)
    assert SECRET not in (mine.path / FIRST).read_text(encoding="utf-8"), "only code conflicts"
    refused(mine, "add", FIRST)
    text = (mine.path / FIRST).read_text(encoding="utf-8")
    solved = re.sub(r"<{7}.*?\n(.*?)={7}.*?>{7}.*?\n", r"\1", text, flags=re.DOTALL)
    (mine.path / FIRST).write_text(solved, encoding="utf-8")
    git(mine, "add", FIRST)
    git(mine, "add", "--renormalize", ".")
    git(mine, "commit", "--quiet", "--no-edit")
    assert outputs_in_commits(mine) == []
    assert has_outputs(mine, SECOND)


def test_the_difference_can_be_seen_during_a_conflict(clone):
    mine, other = clone("mine"), clone("other")
    for project, line in ((mine, "# mine"), (other, "# other")):
        edit(project.path / FIRST, line)
        commit_everything(project)
    git(mine, "fetch", "--quiet", str(other.path))
    assert mine.run("git", "merge", "--no-edit", "FETCH_HEAD").returncode == 1
    assert "# mine" in git(mine, "diff")
    git(mine, "merge", "--abort")
    assert status(mine) == []
    assert "# other" not in (mine.path / FIRST).read_text(encoding="utf-8")


def test_a_merge_of_outputs_can_be_given_up(clone, theirs):
    mine = clone("mine")
    edit(mine.path / FIRST, "# mine")
    git(mine, "commit", "--quiet", "--all", "--message", "Mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    refused(mine, "merge", "--no-edit", "FETCH_HEAD")
    git(mine, "add", THIRD, "notebooks/new.ipynb")  # else git takes their outputs for changes
    git(mine, "merge", "--abort")
    assert "# mine" in committed(mine, FIRST)
    assert status(mine) == []


@pytest.mark.parametrize("command", ["merge --ff-only", "cherry-pick"])
def test_what_no_hook_sees_the_tests_see(clone, theirs, complaints, command):
    mine = clone("mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    git(mine, *command.split(), "FETCH_HEAD")
    assert outputs_in_commits(mine) != []
    said = complaints(mine)
    assert f"{FIRST}: " in said
    assert SET_UP in said


def test_a_rebase_over_outputs(clone, theirs, complaints):
    mine = clone("mine")
    edit(mine.path / FIRST, "# mine", cell=-1)
    edit(mine.path / THIRD, "# mine")
    git(mine, "commit", "--quiet", "--all", "--message", "Mine")
    git(mine, "fetch", "--quiet", str(theirs.path))
    # Git reads again what is of the same second as its index: it takes their outputs for changes,
    # if no new second begins meanwhile. No filter for this one command, then.
    if mine.run("git", "rebase", "FETCH_HEAD").returncode:
        git(mine, "rebase", "--abort")
        git(mine, "-c", "filter.nbstripout.clean=cat", "rebase", "--quiet", "FETCH_HEAD")
    assert outputs_in_commits(mine) != []
    git(mine, "add", "--renormalize", ".")
    git(mine, "commit", "--quiet", "--message", "Strip")
    assert outputs_in_commits(mine) == []
    text = committed(mine, FIRST)
    assert "# mine" in text and "# theirs" in text
    assert status(mine) == []
    assert complaints(mine) == ""


# --- what else the hook refuses ---


LONG = ["def long(x):\n", *["    x += 1\n"] * 6, "    return x"]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ([code(*LONG)], "notebooks/new.ipynb: cell 1: long has 8 lines; move it to a module"),
        (
            [code('path = "/home/ada/table.csv"')],
            "notebooks/new.ipynb: cell 1: /home/… is a path of one machine; use a relative one",
        ),
        (
            [code("1", id=f"c{number}") for number in range(51)],
            "notebooks/new.ipynb: 51 cells, 50 are allowed; split the notebook",
        ),
        ([code("x = nowhere")], "Undefined name `nowhere`"),
        ([code("x=1")], "would be reformatted"),
    ],
    ids=["function", "path", "cells", "name", "format"],
)
def test_the_hook_refuses_with_a_line(clone, cells, line):
    project = clone("clone")
    new(project.path / "notebooks/new.ipynb", *cells)
    git(project, "add", ".")
    said = refused(project, "commit", "--message", "Wrong").splitlines()
    (found,) = (text for text in said if line in text)
    assert "notebooks/new.ipynb" in found
    assert said[-1] == "Nothing was committed."
    assert len(said) <= 3, "\n".join(said)


def test_a_check_can_be_switched_off_for_a_file(clone):
    project = clone("clone")
    new(project.path / "notebooks/new.ipynb", code(*LONG))
    settings = project.path / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    off, count = re.subn(
        r"(?m)^off = \{", 'off = {"notebooks/new.ipynb" = ["functions"], ', text, count=1
    )
    assert count == 1
    settings.write_text(off.replace(", }", " }"), encoding="utf-8")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "A long function")


def test_the_hook_looks_only_at_what_is_staged(clone):
    project = clone("clone")
    (project.path / "note.txt").write_text("# mine", encoding="utf-8")
    git(project, "add", ".")
    (project.path / "app.py").write_text("x = nowhere\n", encoding="utf-8")
    (project.path / "new.py").write_text("x = nowhere\n", encoding="utf-8")
    edit(project.path / FIRST, "/home/ada/table.csv")
    git(project, "commit", "--quiet", "--message", "A note")
    assert sorted(status(project)) == [" M app.py", f" M {FIRST}", "?? new.py"]


# --- Windows, by construction ---


AS_ON_WINDOWS = """
import sys, types
from pathlib import PureWindowsPath
import argparse, inspect, json, shlex, subprocess, typing
sys.modules["os"] = types.SimpleNamespace(name="nt")
from customer_churn.tools import notebooks as tool
tool.set_filter(tool.PYTHON)
tool.set_hooks(tool.PYTHON)

class Place(PureWindowsPath):
    def resolve(self):
        return self

top = Place(r"C:\\Users\\Ada L\\churn")
print(tool.seen_from(top, top / ".venv" / "Scripts" / "python.exe"))
print(tool.seen_from(top, Place(r"D:\\my envs\\Scripts\\python.exe")))
"""

# In text mode, Python for Windows writes each end of a line to a program as two characters.
ENDS_OF_LINES = """
import subprocess, sys
from pathlib import Path
from customer_churn.tools import checks as checks
run = subprocess.run
def on_windows(*arguments, **options):
    if isinstance(options.get("input"), str):
        options["input"] = options["input"].replace("\\n", "\\r\\n")
    return run(*arguments, **options)
subprocess.run = on_windows
print(checks.strips_outputs(Path.cwd()))
"""


def test_what_is_written_on_windows(clone, python):
    project = clone("clone", ready_for_work=False)
    result = project.run(python, "-c", AS_ON_WINDOWS)
    assert result.returncode == 0, result.stderr
    inside, outside = result.stdout.splitlines()
    assert inside == ".venv/Scripts/python.exe"
    assert outside == "'D:/my envs/Scripts/python.exe'"
    for name in ("filter.nbstripout.clean", "diff.ipynb.textconv"):
        assert ".venv/Scripts/python.exe " in git(project, "config", name)
    for name in ("pre-commit", "pre-merge-commit"):
        content = (project.path / ".git" / "hooks" / name).read_bytes()
        assert b".venv/Scripts/python.exe tools/checks.py" in content
        assert b"\r" not in content and b"\\" not in content


def test_the_filter_works_by_the_name_that_windows_has_for_python(clone, python, ready):
    project = clone("clone", ready_for_work=False)
    (project.path / ".venv" / "Scripts").mkdir(parents=True)
    os.symlink(python, project.path / ".venv" / "Scripts" / "python.exe")
    for name in ("lib", "pyvenv.cfg"):
        os.symlink(ready.path / ".venv" / name, project.path / ".venv" / name)
    project.run(python, "-c", AS_ON_WINDOWS)
    edit(project.path / FIRST, "# mine")
    run_cells(project.path / FIRST)
    git(project, "commit", "--quiet", "--no-verify", "--all", "--message", "Mine")
    assert outputs_in_commits(project) == []
    assert "# mine" in committed(project, FIRST)


def test_the_ends_of_lines_of_windows_do_not_mislead_the_check(clone, python):
    result = clone("clone").run(python, "-c", ENDS_OF_LINES)
    assert result.stdout.split() == ["True"], result.stderr
