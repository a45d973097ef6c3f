"""What docs/notebooks.md says of reports, the site and pairs holds, word for word."""

import json
import re
import subprocess

import pytest
from test_readme import block, blocks, shell

pytestmark = pytest.mark.slow

LOADED = re.compile(r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]*)|<link\b[^>]*\bhref="([^"]*)')


@pytest.fixture(scope="module")
def project(bake):
    """A project whose notebooks are run."""
    project = bake()
    shell("uv sync --quiet", project.path)
    return project


@pytest.fixture(scope="module")
def page(project):
    """The page on notebooks."""
    return project.path / "docs" / "notebooks.md"


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


def test_a_report_is_printed_by_an_installed_browser(project):
    result = project.run("uv", "run", "report", "notebooks/02_feature_engineering.ipynb", "--pdf")
    assert result.returncode == 0, result.stderr
    pdf = (project.path / "reports" / "02_feature_engineering.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 50_000


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
