"""What docs/workflow.md says is true: the tour of a feature, each pitfall, each command."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from conftest import install
from test_notebook_filter import SECRET, code, new, run_cells
from test_readme import block, blocks, shell

LOADED = re.compile(r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]*)|<link\b[^>]*\bhref="([^"]*)')
TOUR, PITFALLS = "A feature from notebook to service", "Pitfalls and checks"

# The test of each pitfall in the table.
CAUGHT = {
    "Cells run out of order": "test_the_tests_run_each_notebook_of_a_team",
    "A cell was run twice": "test_a_report_shows_a_fresh_run",
    "Outputs in git": "test_outputs_from_a_clone_that_was_not_set_up_do_not_pass",
    "A path in a notebook": "test_a_notebook_is_refused_with_its_way_out",
    "Code that does not": "test_a_notebook_is_refused_with_its_way_out",
    "A name that is undefined": "test_exploration_can_be_committed",
    "A notebook of more": "test_exploration_can_be_committed",
    "A module of more": "test_other_files_are_refused_with_their_way_out",
    "A large file": "test_other_files_are_refused_with_their_way_out",
    "Dependencies that": "test_a_lock_that_is_out_of_date_is_refused",
    "A `requirements.txt` that": "test_files_of_different_locks_are_reported",
    "A path hard-coded": "test_every_row_is_accounted_for",
    "A script that failed": "test_a_script_that_fails_leaves_a_record_and_can_be_looked_into",
}


@pytest.fixture(scope="module")
def project(bake):
    """A project with an environment of its own."""
    return install(bake())


@pytest.fixture
def spoiled(project):
    """The same, for a test that changes it."""
    yield project
    shell("git reset --quiet --hard; git clean -qfdx -e .venv -e uv.lock", project.path)


@pytest.fixture(scope="module")
def page(project):
    """The page."""
    return project.path / "docs" / "workflow.md"


def section(page, title):
    """Return what is below a heading of the page."""
    _, text = page.read_text(encoding="utf-8").split(f"\n## {title}\n")
    return text.split("\n## ")[0]


def read_code(file):
    """Return the code of a module, or of the cells of a notebook."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    return "".join(f"{''.join(cell['source'])}\n" for cell in json.loads(text)["cells"])


def test_the_snippets_of_the_tour_are_in_the_linked_files(bake):
    page = bake().path / "docs" / "workflow.md"
    link_or_code = re.compile(
        r"\]\(([^)#]+)[^)]*\)|^```python\n(.*?)\n```", re.MULTILINE | re.DOTALL
    )
    file, places = page, []
    for link, snippet in link_or_code.findall(section(page, TOUR)):
        file = (page.parent / link).resolve() if link else file
        if snippet:
            assert snippet in read_code(file), f"not in {file.name}:\n{snippet}"
            places.append(file.name)
    assert len(places) == 4
    assert places[0] == "02_feature_engineering.ipynb"


def test_each_pitfall_of_the_table_has_its_test_and_limit(bake):
    project = bake()
    text = section(project.path / "docs" / "workflow.md", PITFALLS)
    rows = re.findall(r"^\| ([A-Z][^|]*) \|", text, re.MULTILINE)
    assert len(rows) == len(CAUGHT)
    for row, start in zip(rows, CAUGHT, strict=True):
        assert row.startswith(start)
    files = [*Path(__file__).parent.glob("test_*.py"), *project.path.glob("tests/*.py")]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    for name in CAUGHT.values():
        assert f"\ndef {name}(" in code
    limits = tomllib.loads((project.path / "pyproject.toml").read_text("utf-8"))["tool"]["checks"]
    assert f"more than {limits['cells']} cells" in text
    assert f"more than {limits['module_lines']} lines" in text
    assert f"more than {limits['file_bytes']:,} bytes" in text


# --- pitfalls ---


@pytest.mark.slow
def test_the_tests_run_each_notebook_of_a_team(spoiled):
    order = ("rows = [1]", "print(rows[1])", "rows.append(2)")
    cells = (code(line, id=f"c{number}") for number, line in enumerate(order))
    new(spoiled.path / "notebooks" / "04_order.ipynb", *cells)
    tests = ("tests/test_notebooks.py", "-k", "04_order")
    result = spoiled.run("uv", "run", "pytest", "-q", *tests)
    assert "1 failed" in result.stdout
    assert "IndexError" in result.stdout


@pytest.mark.slow
def test_a_report_shows_a_fresh_run(spoiled):
    notebook = spoiled.path / "notebooks" / "04_twice.ipynb"
    cells = ("x = 10", "x = x * 2", 'print(f"x is {x}")')
    new(notebook, *(code(line, id=f"c{i}") for i, line in enumerate(cells)))
    run_cells(notebook)
    shell("uv run report notebooks/04_twice.ipynb", spoiled.path)
    text = (spoiled.path / "reports" / "04_twice.html").read_text(encoding="utf-8")
    assert "x is 20" in text
    assert SECRET not in text


@pytest.mark.slow
def test_a_lock_that_is_out_of_date_is_refused(spoiled):
    settings = spoiled.path / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('"tqdm>=', '"humanize",\n    "tqdm>='), encoding="utf-8")
    result = spoiled.run("git", "commit", "--all", "--message", "A dependency")
    assert result.returncode == 1
    assert "uv.lock does not fit pyproject.toml; run: uv lock" in result.stdout + result.stderr


@pytest.mark.slow
def test_a_script_that_fails_leaves_a_record_and_can_be_looked_into(spoiled):
    command = ("uv", "run", "pipeline.py", "--raw", "nowhere.csv", "--debug")
    result = spoiled.run(*command, input="q\n")
    assert result.returncode == 2
    assert "(Pdb)" in result.stdout
    (line,) = (spoiled.path / "logs" / "pipeline.jsonl").read_text("utf-8").splitlines()
    record = json.loads(line)
    assert record["status"] == "failed"
    assert "nowhere.csv" in record["error"]


# --- reports, the site, pairs ---


@pytest.mark.slow
def test_the_commands_on_reports(project, page):
    written = project.path / "reports"
    shell(block(page, "setup-clone"), project.path)
    assert "warning:" not in shell(block(page, "--slides"), project.path).stderr
    names = [path.stem for path in sorted(project.path.glob("notebooks/*.ipynb"))]
    kinds = [f"{name}{kind}" for name in names for kind in (".html", ".slides.html", ".ipynb")]
    assert {path.name for path in written.iterdir()} == {"index.html", *kinds}
    for path in written.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        addresses = ["".join(found) for found in LOADED.findall(text)]
        assert not [address for address in addresses if "//" in address[:10]]
        assert "import pandas" not in text, "the code is hidden"
    index = (written / "index.html").read_text(encoding="utf-8")
    for name in names:
        assert f'href="{name}.html"' in index
    shell(block(page, "nbconvert"), project.path)
    compile((written / "01_data_exploration.py").read_text(encoding="utf-8"), "script", "exec")
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_the_switch_of_pairs(spoiled, page):
    settings, notebook = spoiled.path / "pyproject.toml", "notebooks/01_data_exploration.ipynb"
    (switch,) = blocks(page, "toml")
    text = page.read_text(encoding="utf-8")
    sync, to_script, to_notebook = re.findall(r"`(uv run jupytext [^`]+)`", text)
    before = settings.read_text(encoding="utf-8")
    settings.write_text(f"{before}\n{switch}", encoding="utf-8")
    shell(sync, spoiled.path)
    shell("uv run ruff check notebooks", spoiled.path)
    script = (spoiled.path / notebook).with_suffix(".py")
    for changed, other, old, new_word, command in (
        (spoiled.path / notebook, script, "Data", "Dato", to_script),
        (script, spoiled.path / notebook, "Dato", "Datum", to_notebook),
    ):
        content = changed.read_text(encoding="utf-8")
        changed.write_text(content.replace(old, new_word, 1), encoding="utf-8")
        shell(command.replace("NAME", "01_data_exploration"), spoiled.path)
        assert new_word in other.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_second_model_in_a_subfolder_stays_out_of_git_as_the_first_does(spoiled, page):
    (command,) = re.findall(r"`(cd second [^`]+)`", page.read_text(encoding="utf-8"))
    shell("mkdir second && cp -r config.yaml schema.yaml data second/", spoiled.path)
    shell(command, spoiled.path)
    assert (spoiled.path / "second" / "models" / "model.onnx").exists()
    listed = spoiled.run("git", "status", "--porcelain", "--untracked-files=all").stdout
    assert sorted(listed.split()[1::2]) == ["second/config.yaml", "second/schema.yaml"]


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
    for path, text in pages.items():
        loaded = [source or style for source, style in LOADED.findall(text)]
        linked = re.findall(r'<a\b[^>]*\bhref="([^"#]+)', text)
        for address in loaded + [link for link in linked if "://" not in link]:
            assert (path.parent / address.split("#")[0].split("?")[0]).exists(), address
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8"))
