"""What docs/workflow.md says holds: one function all the way, each pitfall, each command."""

import json
import re
import subprocess
import tomllib

import pytest
from conftest import install
from test_notebook_filter import LONG, SECRET, code, new, run_cells
from test_readme import block, blocks, shell

LOADED = re.compile(r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]*)|<link\b[^>]*\bhref="([^"]*)')
TOUR, PITFALLS = "One function, all the way", "What goes wrong, and what catches it"

# Asks the service for one row, as `predict` of a page does.
ASK = "import app; app.create_app().test_client().post('/predict', json={'features': {}})"

# Of each pitfall what its check says of the mistake that `make_mistakes` makes.
CAUGHT = {
    "Cells run out of order": "following cell:\n------------------\nprint(rows[1])\n",
    "A name defined nowhere": "Undefined name `further_down`",
    "A huge notebook": "notebooks/04_huge.ipynb: 51 cells, 50 are allowed",
    "Logic that never leaves": "notebooks/04_logic.ipynb: cell 1: long has 8 lines",
    "Outputs in git": "notebooks/04_outputs.ipynb: cell 1 holds an output",
    "A path in a notebook": "notebooks/04_path.ipynb: cell 1: /home/… is a path of one machine",
    "A path hard-coded": "FAILED tests/test_pipeline.py::test_every_row_is_accounted_for",
    "A giant script": "training/giant.py: 251 lines, 250 are allowed",
    "A package that": "requirements.txt: does not pin tqdm<5,>=4.67; the last command of README.md",
    "A notebook unlike": "notebooks/04_pair.ipynb: differs from notebooks/04_pair.py",
}
CAUGHT_BELOW = ["A cell run twice", "A script that failed"]  # each in a test of its own
WITH_MISTAKES = "own_notebooks or own_commits or 04_order or every_row_is"


@pytest.fixture(scope="module")
def project(bake):
    """A project with an environment of its own."""
    return install(bake())


@pytest.fixture
def spoiled(project):
    """The same, for a test that makes mistakes in it."""
    yield project
    shell("git reset --quiet --hard; git clean -qfdx -e .venv -e uv.lock", project.path)


@pytest.fixture(scope="module")
def page(project):
    """The page."""
    return project.path / "docs" / "workflow.md"


def section(page, title):
    """Return what stands under a heading of the page."""
    _, text = page.read_text(encoding="utf-8").split(f"\n## {title}\n")
    return text.split("\n## ")[0]


# --- one function, all the way ---


def find_snippets(page):
    """Return each piece of code on the way, and the file that was linked last before it."""
    link_or_code = re.compile(r"\]\(([^)]+)\)|^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    file, snippets = page, []
    for link, snippet in link_or_code.findall(section(page, TOUR)):
        file = (page.parent / link).resolve() if link else file
        snippets += [(file, snippet)] if snippet else []
    return snippets


def read_code(file):
    """Return the code of a module, or of the cells of a notebook."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    return "".join(f"{''.join(cell['source'])}\n" for cell in json.loads(text)["cells"])


def test_what_is_shown_of_the_function_stands_in_the_linked_files(bake):
    project = bake()
    snippets = find_snippets(project.path / "docs" / "workflow.md")
    places = [file.relative_to(project.path.resolve()).parts[0] for file, _ in snippets]
    assert places == ["notebooks", "src", "tests", "pipeline.py", "src", "app.py", "src"]
    for file, snippet in snippets:
        assert snippet in read_code(file), f"not in {file.name}:\n{snippet}"


@pytest.mark.slow
def test_who_breaks_the_function_breaks_all_places_that_the_page_names(spoiled, page):
    project = spoiled
    (alone,) = re.findall(r"`(uv run pytest -k [^`]+)`", section(page, TOUR))
    assert "1 passed" in shell(alone, project.path).stdout
    shell("uv run pipeline.py && uv run train --model logistic", project.path)
    _, (module, function), _, *calls = find_snippets(page)
    head, text = function.splitlines()[0], module.read_text(encoding="utf-8")
    module.write_text(text.replace(head, f'{head}\n    raise RuntimeError("broken")'), "utf-8")

    pipeline = project.run("uv", "run", "pipeline.py").stderr
    answer = project.run("uv", "run", "python", "-c", ASK).stderr
    for said, shown in ((pipeline, calls[:2]), (answer, calls[2:])):
        places = [said.index(line.strip()) for _, line in shown]
        assert places == sorted(places)
        assert "RuntimeError: broken" in said[places[-1] :]
    assert calls[-1][1].strip() in project.run("uv", "run", "train").stderr
    only = "spell_categories or 02_feature_engineering"
    tested = project.run("uv", "run", "pytest", "-q", "-k", only)
    assert "2 failed" in tested.stdout


# --- what goes wrong, and what catches it ---


def make_mistakes(project):
    """Make a mistake of each kind, and stage them all."""
    folder = project.path / "notebooks"
    order = ("rows = [1]", "print(rows[1])", "rows.append(2)")
    new(folder / "04_order.ipynb", *(code(line, id=f"c{i}") for i, line in enumerate(order)))
    new(folder / "04_name.ipynb", code("print(further_down)"), code("further_down = 1", id="b"))
    new(folder / "04_huge.ipynb", *(code("1", id=f"c{number}") for number in range(51)))
    new(folder / "04_logic.ipynb", code(*LONG))
    new(folder / "04_path.ipynb", code('path = "/home/ada/table.csv"'))
    new(folder / "04_pair.ipynb", code("x = 1"))
    (folder / "04_pair.py").write_text("# %%\nx = 2\n", encoding="utf-8")
    (project.path / "training" / "giant.py").write_text("x = 1\n" * 251, encoding="utf-8")
    script = project.path / "pipeline.py"
    text = script.read_text(encoding="utf-8")
    hard_coded = text.replace("find_files(pattern)", 'find_files("data/raw/customers.csv")')
    script.write_text(hard_coded, encoding="utf-8")
    pins = project.path / "requirements.txt"
    pins.write_text(pins.read_text("utf-8").replace("\ntqdm==", "\nqdtm=="), encoding="utf-8")
    shell("git add .", project.path)
    new(folder / "04_outputs.ipynb", code("1"))
    run_cells(folder / "04_outputs.ipynb")
    shell("git -c filter.nbstripout.clean=cat add .", project.path)  # as without setup-clone


@pytest.mark.slow
def test_each_pitfall_is_caught_where_the_page_says(spoiled, page):
    lines = [line.strip("| ").split(" | ") for line in section(page, PITFALLS).splitlines()]
    _, _, *rows = (line for line in lines if len(line) == 3)
    make_mistakes(spoiled)
    commit = spoiled.run("git", "commit", "--message", "Wrong")
    assert commit.returncode == 1
    files = ("tests/test_notebooks.py", "tests/test_pipeline.py")
    tests = spoiled.run("uv", "run", "pytest", "-q", *files, "-k", WITH_MISTAKES)
    workflow = spoiled.path / ".github" / "workflows" / "ci.yml"
    steps = workflow.read_text(encoding="utf-8")
    for pitfall, said in CAUGHT.items():
        ((_, check, where),) = (row for row in rows if row[0].startswith(pitfall))
        assert (said in commit.stderr) == ("commit" in where), commit.stderr
        assert (said in tests.stdout) == ("tests" in where), tests.stdout
        assert ("uv run ruff check" if check == "ruff" else "uv run pytest") in steps
        assert where.endswith("CI")
    for pitfall in CAUGHT_BELOW:
        (_,) = (row for row in rows if row[0].startswith(pitfall))
    assert len(rows) == len(CAUGHT) + len(CAUGHT_BELOW)


@pytest.mark.slow
def test_a_report_shows_a_fresh_run_and_not_the_outputs_that_are_there(spoiled):
    notebook = spoiled.path / "notebooks" / "04_twice.ipynb"
    cells = ("x = 10", "x = x * 2", 'print(f"x is {x}")')
    new(notebook, *(code(line, id=f"c{i}") for i, line in enumerate(cells)))
    run_cells(notebook)
    shell("uv run report notebooks/04_twice.ipynb", spoiled.path)
    text = (spoiled.path / "reports" / "04_twice.html").read_text(encoding="utf-8")
    assert "x is 20" in text
    assert SECRET not in text


@pytest.mark.slow
def test_a_script_that_fails_leaves_a_record_and_can_be_looked_into(spoiled):
    command = ("uv", "run", "pipeline.py", "--raw", "nowhere.csv", "--debug")
    result = spoiled.run(*command, input="p pattern\nq\n")
    assert result.returncode == 2
    assert "(Pdb) 'nowhere.csv'" in result.stdout
    (line,) = (spoiled.path / "logs" / "pipeline.jsonl").read_text("utf-8").splitlines()
    record = json.loads(line)
    assert record["status"] == "failed"
    assert record["error"].startswith("no file matches nowhere.csv")


def test_the_limits_on_the_page_are_those_of_the_checks(bake):
    project = bake()
    text = section(project.path / "docs" / "workflow.md", PITFALLS)
    settings = tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))
    limits = settings["tool"]["checks"]
    found = [int(number) for number in re.findall(r"more than (\d+)", text)]
    assert found == [limits[name] for name in ("cells", "function_lines", "module_lines")]


# --- reports, the site, pairs ---


@pytest.mark.slow
def test_the_commands_on_reports(project, page):
    written = project.path / "reports"
    shell(block(page, "setup-clone"), project.path)
    shell(block(page, "--code"), project.path)
    text = (written / "01_data_exploration.html").read_text(encoding="utf-8")
    assert "<code>max_columns = 6</code>" in text
    assert "read_raw_data" in text, "the code is shown"
    shell(block(page, "--slides"), project.path)
    names = [path.stem for path in sorted(project.path.glob("notebooks/*.ipynb"))]
    kinds = [f"{name}{kind}.html" for name in names for kind in ("", ".slides")]
    assert {path.name for path in written.iterdir()} == {"index.html", *kinds}
    for path in written.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [address for address in LOADED.findall(text) if "//" in "".join(address)[:10]]
        assert "read_raw_data(" not in text, "the code is hidden"
    shell(block(page, "nbconvert"), project.path)
    compile((written / "01_data_exploration.py").read_text(encoding="utf-8"), "script", "exec")
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_a_failing_notebook_ends_the_command_and_leaves_its_page(project):
    notebook = project.path / "notebooks" / "04_broken.ipynb"
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "source": "1 / 0", "outputs": []}]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    cells[0]["execution_count"] = None
    notebook.write_text(json.dumps(content), encoding="utf-8")
    try:
        result = project.run("uv", "run", "report", str(notebook))
        tested = project.run("uv", "run", "pytest", "-q", "tests/test_notebooks.py", "-k", "broken")
    finally:
        notebook.unlink()
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "04_broken.ipynb fails in cell 1 (1 / 0): ZeroDivisionError: division by zero" in line
    assert "ZeroDivisionError" in (project.path / "reports/04_broken.html").read_text("utf-8")
    assert tested.returncode == 1, "a notebook that the team adds is run too"


@pytest.mark.slow
def test_a_report_is_printed_by_an_installed_browser(project):
    result = project.run("uv", "run", "report", "notebooks/02_feature_engineering.ipynb", "--pdf")
    assert result.returncode == 0, result.stderr
    pdf = (project.path / "reports" / "02_feature_engineering.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 50_000


@pytest.mark.slow
def test_the_switch_of_pairs(project, page):
    settings, notebook = project.path / "pyproject.toml", "notebooks/01_data_exploration.ipynb"
    before = settings.read_text(encoding="utf-8")
    (switch,) = blocks(page, "toml")
    text = page.read_text(encoding="utf-8")
    sync, to_script, to_notebook = re.findall(r"`(uv run jupytext [^`]+)`", text)
    check = ("uv", "run", "pytest", "-q", "tests/test_notebooks.py", "-k", "own_notebooks")
    try:
        settings.write_text(f"{before}\n{switch}", encoding="utf-8")
        shell(sync, project.path)
        for line in ("uv run ruff check", "uv run ruff format --check", "uv run mypy"):
            shell(line, project.path)
        script = (project.path / notebook).with_suffix(".py")
        for changed, old, new, command in (
            (project.path / notebook, "what is wrong", "what is odd", to_script),
            (script, "what is odd", "what is strange", to_notebook),
        ):
            assert project.run(*check).returncode == 0
            content = changed.read_text(encoding="utf-8")
            changed.write_text(content.replace(old, new), encoding="utf-8")
            result = project.run(*check)
            assert result.returncode == 1
            assert f"{notebook}: differs from" in result.stdout
            shell(command.replace("NAME", "01_data_exploration"), project.path)
        assert project.run(*check).returncode == 0
    finally:
        for path in project.path.glob("notebooks/*.py"):
            path.unlink()
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=project.path, check=True)


@pytest.mark.slow
def test_one_command_makes_a_site_of_the_notebooks_and_docs(project, page):
    shell(block(page, "sphinx-build"), project.path)
    assert project.run("git", "status", "--porcelain").stdout == ""
    site = project.path / "reports" / "site" / "html"
    paths = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = {path: path.read_text(encoding="utf-8") for path in paths}
    sources = [*project.path.glob("docs/*.md"), *project.path.glob("notebooks/*.ipynb")]
    assert len(sources) > 3
    for source in sources:
        name = source.relative_to(project.path).with_suffix(".html")
        assert "<h1>" in pages[site / name]
        assert f'href="{name.as_posix()}"' in pages[site / "index.html"]
        if source.suffix == ".ipynb":
            assert "<img " in pages[site / name]  # it ran: git holds no outputs
            assert "<table " in pages[site / name]
    for path, text in pages.items():
        loaded = [source or style for source, style in LOADED.findall(text)]
        linked = re.findall(r'<a\b[^>]*\bhref="([^"#]+)', text)
        for address in loaded + [link for link in linked if "://" not in link]:
            assert (path.parent / address.split("#")[0].split("?")[0]).exists(), address
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8"))
