"""The project is whole and clean the moment it is born."""

import json
import re
import shutil

import pytest
from conftest import TEMPLATE

TREE = """
.gitattributes .gitignore .pre-commit-config.yaml LICENSE README.md SECURITY.md app.py config.yaml pipeline.py
pyproject.toml requirements.txt schema.yaml
.github/workflows/ci.yml .vscode/settings.json
Dockerfile data/raw/customers.csv
docs/conf.py docs/how-to.md docs/own-table.md docs/production.md docs/workflow.md
notebooks/01_data_exploration.ipynb notebooks/02_feature_engineering.ipynb
notebooks/03_model_prototyping.ipynb
batch/cluster.py batch/file_prediction.py batch/parts.py batch/raw_csv.py batch/raw_data.py
batch/runs.py service/openapi.yaml service/operations.py service/request_validation.py
service/static/page.css service/static/page.js
service/templates/index.html
tools/report.css training/model_card.html
"""

MODULES = """
config data_preprocessing evaluation feature_engineering model_training prediction schema utils
"""

TRAINING = """
description model_card model_saving model_selection preparation train
"""

TOOLS = """
checks column_decisions column_rules infer_schema notebook_filter report sample_cells setup_clone
"""
# Each test takes along what its subject is made of: that of a tool, a command or a module.
TESTS = """
app feature_engineering infer_schema notebooks pipeline prediction schema training
"""

# What must not depend on an answer: import lines are sorted and broken by their length.
SLUGS = ["a", "customer_churn", "z" * 30]


@pytest.fixture(scope="module", params=SLUGS, ids=["short", "default", "long"])
def project(bake, request):
    """The project, with names of every length."""
    return bake(project_slug=request.param)


def files(project):
    """All files of a project but git's, relative to it."""
    paths = (path for path in project.path.rglob("*") if path.is_file())
    relative = {path.relative_to(project.path) for path in paths}
    return {path.as_posix() for path in relative if path.parts[0] != ".git"}


def test_the_tree_is_what_the_readme_says(bake):
    project = bake()
    modules = [f"src/customer_churn/{name}.py" for name in [*MODULES.split(), "__init__"]]
    modules += [f"training/{name}.py" for name in TRAINING.split()]
    tools = {f"tools/{name}.py" for name in TOOLS.split()}
    tests = {"tests/conftest.py", *(f"tests/test_{name}.py" for name in TESTS.split())}
    assert files(project) == {*TREE.split(), *modules, *tools, *tests}
    readme = (project.path / "README.md").read_text(encoding="utf-8")
    for name in (*MODULES.split(), *TRAINING.split(), *TOOLS.split()):
        assert re.search(rf"\b{name}\b", readme), f"README.md does not name {name}"


def test_the_page_on_rules_names_every_rule(bake):
    project = bake()
    code = (project.path / "tools" / "column_rules.py").read_text(encoding="utf-8")
    page = (project.path / "docs" / "own-table.md").read_text(encoding="utf-8")
    page = page.split("\n## The sample table")[0]
    rows = "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == set(re.findall(r"^def (\w+)", code, re.MULTILINE))


def test_no_template_text_is_left(project):
    for name in files(project):
        text = (project.path / name).read_text(encoding="utf-8")
        assert "cookiecutter" not in text, name
        assert "{%" not in text or name.endswith(".html"), name


def test_no_column_of_the_sample_stands_in_code(bake):
    project = bake()
    header = (project.path / "data/raw/customers.csv").read_text(encoding="utf-8").split("\n")[0]
    for name in files(project):
        if name.endswith((".py", ".ipynb")):
            text = (project.path / name).read_text(encoding="utf-8")
            for column in header.split(","):
                assert f'"{column}"' not in text.replace('\\"', '"'), f"{column} in {name}"


def test_the_template_s_code_has_no_logic_of_jinja():
    for path in (TEMPLATE / "{{cookiecutter.project_slug}}").rglob("*"):
        if path.suffix in (".py", ".ipynb"):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert "{%" not in line
                if "{{" in line:
                    assert re.search(r'^ *"?(from|import) ', line), line


def test_the_project_is_light(project):
    names = files(project)
    assert len(names) < 70
    code = [name for name in names if name.endswith(".py")]
    lengths = {
        name: len((project.path / name).read_text(encoding="utf-8").splitlines()) for name in code
    }
    for name, length in lengths.items():
        assert length <= (400 if name.startswith("tests/") else 250), name
    subject = [
        length
        for name, length in lengths.items()
        if name in ("app.py", "pipeline.py") or name.startswith("src/")
    ]
    assert sum(subject) < 1800


def test_notebooks_hold_no_outputs(project):
    for path in (project.path / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_ruff_finds_nothing(project):
    for command in (("check",), ("format", "--check")):
        result = project.run("ruff", *command, "--no-cache")
        assert result.returncode == 0, result.stdout


def test_git_ignores_what_is_made(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project.path, copy)
    for name in ("data/processed/a.parquet", "data/rejected/a.csv", "models/model.onnx",
                 "reports/a.html", "logs/pipeline.jsonl", ".env", "uv.lock", ".venv/x"):  # fmt: skip
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    status = project.run("git", "-C", str(copy), "status", "--porcelain").stdout
    assert status == ""


def test_the_lock_has_hashes_and_no_address(project):
    text = (project.path / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.split(r"\n(?=\w)", text.strip())
    assert len(pins) > 50
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
