"""A team's project takes in later releases of the template by its README's words, and loses nothing."""

import json
import re
import shutil
import tomllib

import pytest
from conftest import TEMPLATE, Project
from test_readme import block

INSIDE = "{{cookiecutter.project_slug}}"
ADDRESS = "https://github.com/org/template"
MODULE = "src/customer_churn/feature_engineering.py"
SETTINGS = ".vscode/settings.json"
FIRST = "notebooks/01_data_exploration.ipynb"
SECOND = "notebooks/02_feature_engineering.ipynb"
MARKS = re.compile(r"^(<<<<<<<|=======|>>>>>>>).*\n", re.MULTILINE)

# What the team does: a feature of its own, a note at another one, and a column in the middle of
# its table.
LINE = '    return monthly_charge * (contract_type == "Monthly")\n'
OURS = LINE.replace(")\n", ")  # ours\n")
THEIRS = '    return (contract_type == "Monthly") * monthly_charge\n'
NEXT = "@feature\ndef young_or_old(age: float):\n"
FEATURE = '''@feature
def calls_per_year(support_calls, age):
    """Support calls for each year of age."""
    return support_calls / age


'''
COLUMN = "  shoe_size:\n    dtype: Int64\n    nullable: true\n"

VERSION_1 = "5fff8971655a"  # the commit of release 1.0.0
NOTEBOOK = "notebooks/04_my_notebook.ipynb"


# --- the template and its releases ---


def edit(path, old, new):
    """Change a text that stands once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def add_line(path, line):
    """Add a line at the end of a file."""
    path.write_text(f"{path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8", newline="\n")


def add_text(notebook, text):
    """Add a line to the first cell of a notebook, as Jupyter writes it."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["cells"][0]["source"][-1] += "\n"
    content["cells"][0]["source"].append(text)
    written = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    notebook.write_text(written, encoding="utf-8", newline="\n")


def git(project, *arguments):
    """Run git, which must succeed, and return what it says."""
    result = project.run("git", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def commit(project, message):
    """Commit everything."""
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--allow-empty", "--message", message)


def release(template, version):
    """Make a release as CONTRIBUTING.md says it: the version, a commit, a tag."""
    file = template.path / "cookiecutter.json"
    text = re.sub('"_version": ".*"', f'"_version": "{version}"', file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    commit(template, version)
    git(template, "tag", version)


def improve(template):
    """Touch the files that the team works in, but not its lines."""
    project = template.path / INSIDE
    module = project / MODULE.replace("customer_churn", INSIDE)
    answers, questions = template.path / "hooks" / "answers.py", template.path / "cookiecutter.json"
    edit(questions, '  "author_name": "Your', '  "team": "The Team",\n  "author_name": "Your')
    edit(answers, "markdown=markdown)", "markdown=markdown, loud=str.upper)")
    edit(
        project / "README.md", "\n## Predict\n", "\n{{ cookiecutter.team | loud }}\n\n## Predict\n"
    )
    edit(module, "EPOCH = datetime(2000, 1, 1)\n", "EPOCH = datetime(2000, 1, 1)  # a Saturday\n")
    edit(project / "config.yaml", "  random_seed: 0\n", "  random_seed: 0  # the same each time\n")
    edit(project / "pyproject.toml", '"tqdm>=4.67,<5"', '"tqdm>=4.66,<5"')
    edit(project / "requirements.txt", "\ntqdm==", "\n# pinned anew\ntqdm==")
    edit(project / "schema.yaml", "description: years", "description: full years")
    sample = project / "data" / "raw" / "customers.csv"
    sample.write_text(sample.read_text(encoding="utf-8").replace("North", "N"), encoding="utf-8")
    for notebook in (FIRST, SECOND):
        add_text(project / notebook, "A better word.")
    (project / "docs" / "news.md").write_text("# News\n", encoding="utf-8")
    (project / "docs" / "production.md").rename(project / "docs" / "operations.md")


def collide(template):
    """Touch the very lines that the team has changed, and take the name of a file of theirs."""
    project = template.path / INSIDE
    module = project / MODULE.replace("customer_churn", INSIDE)
    edit(
        project / "README.md",
        "\n{{ cookiecutter.description",
        "\nIt does: {{ cookiecutter.description",
    )
    edit(module, LINE, THEIRS)
    add_text(project / FIRST, "And a better one.")
    (project / "docs" / "team.md").write_text("# Teams\n", encoding="utf-8")


def remove(template):
    """Remove a file that the team has changed, and add one."""
    (template.path / INSIDE / SETTINGS).unlink()
    (template.path / INSIDE / "docs" / "more.md").write_text("# More\n", encoding="utf-8")


# --- the project and its team ---


def words(project, word, version=None, template=None, cwd=None, **options):
    """Run the block of a page with that word in it, as if pasted."""
    page = project.path / "docs" / "updates.md"
    script = block(page if page.exists() else project.path / "README.md", word).replace(
        "VERSION", str(version)
    )
    script = script.replace(ADDRESS, str(template and template.path))
    result = Project(cwd or project.path).run("bash", "-ec", script, **options)
    assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return result


def text_of(project, file):
    """Return the text of a file of a project."""
    return (project.path / file).read_text(encoding="utf-8")


def version_of(project):
    """Return the version that a project says it was made by."""
    return tomllib.loads(text_of(project, "pyproject.toml"))["tool"]["template"]["version"]


def status(project):
    """Return what git says of each changed file."""
    return git(project, "status", "--short").splitlines()


def unmerged(project):
    """Return the files that are not merged, and those that git does not know."""
    return [line for line in status(project) if line.startswith(("UU", "AA", "??"))]


@pytest.fixture
def clone(tmp_path):
    """Clone a project as a colleague does, with what is in its commits and nothing else."""

    def clone(project, commit="HEAD"):
        copy = Project(tmp_path / "clone")
        git(project, "clone", "--quiet", project.path.as_uri(), str(copy.path))
        git(copy, "reset", "--quiet", "--hard", commit)
        return copy

    return clone


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A repository of the template, at its first release."""
    project = Project(tmp_path_factory.mktemp("template"))
    for name in ("README.md", "cookiecutter.json", ".gitattributes"):
        shutil.copy(TEMPLATE / name, project.path)
    for name in ("hooks", INSIDE):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TEMPLATE / name, project.path / name, ignore=ignored)
    git(project, "init", "--quiet", "--initial-branch=main")
    release(project, "1.0.0")
    return project


@pytest.fixture(scope="module")
def made(template, tmp_path_factory):
    """A project that cruft made of it; then come the later releases."""
    folder = tmp_path_factory.mktemp("made")
    words(template, "cruft create", template=template, cwd=folder, input="\n" * 5)
    project = Project(folder / "customer_churn")
    for version, change in (("1.1.0", improve), ("1.2.0", collide), ("1.3.0", remove)):
        change(template)
        release(template, version)
    return project


@pytest.fixture(scope="module")
def used(made):
    """The project after some work of its team."""
    root = made.path
    edit(root / "README.md", "Predict customer churn from tabular data.", "Ask Ada why they go.")
    edit(root / MODULE, LINE, OURS)
    edit(root / MODULE, NEXT, FEATURE + NEXT)
    edit(root / "schema.yaml", "  paperless:\n", f"{COLUMN}  paperless:\n")
    table = root / "data" / "raw" / "customers.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    lines = [f"shoe_size,{header}", *(f"{38 + len(row) % 9},{row}" for row in rows)]
    table.write_text("\n".join([*lines, ""]), encoding="utf-8")
    edit(root / "config.yaml", "max_rows: 10000 ", "max_rows: 20000 ")
    edit(root / "requirements.txt", "\ntqdm==", "\n# ours\ntqdm==")
    edit(root / SETTINGS, '"python.testing.pytestEnabled": true,\n', "")
    add_line(root / "docs" / "production.md", "Ours.")
    (root / "docs" / "team.md").write_text("# The team\n", encoding="utf-8")
    (root / SECOND).unlink()
    commit(made, "Our work")
    return made


@pytest.fixture(scope="module")
def updated(used):
    """The project after an update that meets no conflict."""
    words(used, "cruft update", "1.1.0")
    assert unmerged(used) == []
    result = used.run("uv", "lock", "--quiet")  # as `uv run pytest` would
    assert result.returncode == 0, result.stderr
    commit(used, "1.1.0")
    return used


# --- the version ---


def test_the_version_is_that_of_the_changelog_and_of_a_new_project(bake):
    version = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["_version"]
    changelog = (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert first[1] == version == version_of(bake())


# --- updates ---


@pytest.mark.slow
def test_an_update_keeps_what_the_team_made_and_brings_the_rest(updated):
    assert version_of(updated) == "1.1.0"
    for file in ("data", "requirements.txt", "schema.yaml", ".vscode", "docs/team.md"):
        assert git(updated, "diff", "HEAD~1", "--", file) == "", file
    assert not (updated.path / SECOND).exists()
    assert "Ask Ada" in text_of(updated, "README.md")
    assert "THE TEAM\n\n## Predict" in text_of(updated, "README.md")
    assert "calls_per_year" in text_of(updated, MODULE)
    assert "a Saturday" in text_of(updated, MODULE)
    assert "max_rows: 20000 " in text_of(updated, "config.yaml")
    assert "the same each time" in text_of(updated, "config.yaml")
    assert "tqdm>=4.66" in text_of(updated, "pyproject.toml")
    assert "A better word." in text_of(updated, FIRST)
    assert text_of(updated, "docs/news.md") == "# News\n"
    assert text_of(updated, "docs/operations.md").endswith("\nOurs.\n")
    assert not (updated.path / "docs" / "production.md").exists()
    tests = [f"tests/test_{name}.py" for name in ("feature_engineering", "schema")]
    result = updated.run("uv", "run", "--quiet", "pytest", "-q", *tests)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_a_conflict_stands_in_the_files_of_any_clone_and_is_resolved(updated, clone):
    project = clone(updated)
    result = project.run("uv", "run", "--quiet", "setup-clone")
    assert result.returncode == 0, result.stderr
    add_text(project.path / FIRST, "Our words.")
    commit(project, "Our words")
    said = words(project, "cruft update", "1.2.0")
    assert "Good work!" in said.stdout
    assert unmerged(project) == ["UU README.md", "AA docs/team.md", f"UU {FIRST}", f"UU {MODULE}"]
    assert project.run("git", "commit", "--all", "--message", "Unseen").returncode != 0
    git(project, "checkout", "--ours", FIRST, "docs/team.md")
    for file in ("README.md", MODULE):  # both sides are right
        text = MARKS.sub("", text_of(project, file))
        (project.path / file).write_text(text, encoding="utf-8", newline="\n")
    edit(project.path / "README.md", "\nIt does: Predict customer churn from tabular data.", "")
    edit(project.path / MODULE, OURS, "")
    git(project, "add", "README.md", "docs/team.md", FIRST, MODULE)
    words(project, "git add --all")
    assert git(project, "status", "--short") == ""
    assert version_of(project) == "1.2.0"
    assert "Ask Ada" in text_of(project, "README.md")
    assert "Our words." in text_of(project, FIRST)
    assert text_of(project, "docs/team.md") == "# The team\n"


@pytest.mark.slow
def test_a_removed_file_that_the_team_changed_stops_a_merge_until_it_is_decided_on(updated, clone):
    project = clone(updated)
    said = words(project, "cruft update", "1.3.0")
    assert f"{SETTINGS}: patch does not apply" in said.stderr
    assert "?? README.md.rej" in status(project)
    words(project, "git clean")
    assert status(project) == []
    assert version_of(project) == "1.1.0"
    edit(project.path / "pyproject.toml", 'skip = ["data",', f'skip = ["{SETTINGS}", "data",')
    commit(project, "Our own settings")
    words(project, "cruft update", "1.3.0")
    assert unmerged(project) == ["UU README.md", "AA docs/team.md", f"UU {MODULE}"]
    assert text_of(project, "docs/more.md") == "# More\n"
    assert git(project, "diff", "HEAD", "--", SETTINGS) == ""


@pytest.mark.slow
def test_what_is_not_committed_stops_an_update(updated, clone):
    project = clone(updated)
    (project.path / "mine.txt").write_text("mine", encoding="utf-8")
    result = project.run("bash", "-ec", block(project.path / "docs" / "updates.md", "cruft update"))
    assert result.returncode == 1
    assert "unclean" in result.stdout
    assert status(project) == ["?? mine.txt"]


@pytest.mark.slow
def test_a_project_made_without_cruft_is_linked(updated, template, clone):
    project = clone(updated, "HEAD~1")
    before = text_of(project, ".cruft.json")
    git(project, "rm", "--quiet", ".cruft.json")
    commit(project, "As cookiecutter alone makes it")
    words(project, "cruft link", "1.0.0", template, input="\n" * 6)
    linked = json.loads(text_of(project, ".cruft.json"))
    assert linked == json.loads(before) | {"checkout": "1.0.0"}
    words(project, "cruft update", "1.1.0")
    commit(project, "1.1.0")
    assert git(project, "diff", "origin/main", "--", ".", ":!.cruft.json", ":!uv.lock") == ""


# --- from version 1 to version 2 ---


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """A repository of the template with release 1.0.0 as it was, and 2.0.0 as it is here."""
    template = Project(tmp_path_factory.mktemp("releases") / "template")
    cloned = Project(TEMPLATE).run("git", "clone", "--quiet", ".", str(template.path))
    if cloned.returncode or template.run("git", "tag", "1.0.0", VERSION_1).returncode:
        pytest.skip("not tested: the way from version 1, since git has no history of it here")
    shutil.copy(TEMPLATE / "cookiecutter.json", template.path)
    for name in ("hooks", INSIDE):
        shutil.rmtree(template.path / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TEMPLATE / name, template.path / name, ignore=ignored)
    release(template, "2.0.0")
    return template


@pytest.fixture
def old(releases, tmp_path):
    """A project of version 1 with settings, a limit, a feature and a notebook of its team."""
    create = ["uvx", "cruft", "create", str(releases.path), "--checkout", "1.0.0", "--no-input"]
    result = releases.run(*create, "--output-dir", str(tmp_path))
    assert result.returncode == 0, result.stderr
    project = Project(tmp_path / "customer_churn")
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "As version 1 makes it")
    edit(project.path / "config.yaml", "port: 8000", "port: 8100")
    edit(project.path / "schema.yaml", "max_value: 500}", "max_value: 600}")
    commit(project, "Our settings")
    return project


@pytest.mark.slow
def test_a_project_of_version_1_with_own_settings_alone_is_updated(old):
    words(old, "cruft update", "2.0.0")
    assert unmerged(old) == []
    assert version_of(old) == "2.0.0"
    assert "port: 8100" in text_of(old, "config.yaml")
    assert "threshold: null" in text_of(old, "config.yaml")
    assert "max_value: 600}" in text_of(old, "schema.yaml")
    for command in (["pipeline.py"], ["train"], ["pytest", "-q", "tests/test_schema.py"]):
        result = old.run("uv", "run", "--quiet", *command)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_project_of_version_1_is_made_anew_by_the_steps_of_the_changelog(old, releases):
    cell = {"cell_type": "code", "id": "a1", "metadata": {}, "outputs": [], "execution_count": None}
    read = 'import pandas\nlen(pandas.read_parquet("../data/processed/customers.parquet"))'
    notebook = json.loads(text_of(old, FIRST)) | {"cells": [cell | {"source": read}]}
    (old.path / NOTEBOOK).write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")
    commit(old, "Our notebook")
    before = git(old, "rev-parse", "HEAD").strip()

    changelog = (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")
    _, steps = changelog.split("### From version 1 to version 2")
    scripts = re.findall(r"^   ```sh\n(.*?)^   ```", steps, re.MULTILINE | re.DOTALL)
    create, replace, restore, check = (
        script.replace(ADDRESS, str(releases.path)).replace("SLUG", "customer_churn")
        for script in scripts
    )
    for script in (create, replace, restore):
        result = old.run("bash", "-ec", script, input="\n" * 5)
        assert result.returncode == 0, result.stdout + result.stderr
    edit(old.path / "config.yaml", "port: 8000", "port: 8100")
    edit(old.path / MODULE, NEXT, FEATURE + NEXT)
    new = json.dumps("from customer_churn import load_table\nlen(load_table())")
    edit(old.path / NOTEBOOK, json.dumps(read), new)
    result = old.run("bash", "-ec", check)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]

    commit(old, "Version 2")  # its hooks agree
    assert git(old, "merge-base", "HEAD", "main").strip() == before
    assert "max_value: 600}" in text_of(old, "schema.yaml")
    features = [
        each["feature"] for each in json.loads(text_of(old, "models/model.json"))["importance"]
    ]
    assert "calls_per_year" in features
