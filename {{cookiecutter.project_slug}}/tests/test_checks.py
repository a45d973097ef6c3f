"""What git is told of notebooks: to strip them, to show them, and what to refuse in a commit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pytest
from conftest import ROOT

import tools.checks as checks
import tools.notebooks as notebooks
import tools.setup_clone as setup_clone

LIMITS = {"cells": 3, "function_lines": 3, "module_lines": 5}
LONG = "def long(x):\n    y = x\n    z = y\n    return z"


def write_notebook(root: Path, name: str, *sources: str, kind: str = "code", **more: Any) -> Path:
    """Write a notebook with a cell for each source."""
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": "a",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    cells = [cell | {"id": f"c{i}", "source": [text]} | more for i, text in enumerate(sources)]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def problems(root: Path, **off: list[str]) -> list[str]:
    """Check a folder with the limits of these tests."""
    lines = [f"{name} = {value}" for name, value in LIMITS.items()]
    lines += ["[tool.checks.off]", *(f'"notebooks/{k}.ipynb" = {v}' for k, v in off.items())]
    text = "\n".join(["[tool.checks]", *lines])
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return checks.check_folder(root)


def test_the_project_s_own_notebooks_and_modules() -> None:
    found = checks.check_folder(ROOT)
    assert not found, "\n".join(found)


def test_the_project_s_own_commits_hold_no_outputs(tmp_path: Path) -> None:
    if checks.knows_notebooks(ROOT):
        staged = checks.export_staged(ROOT, tmp_path)
        found = checks.check_outputs(staged)
        assert not found, "\n".join(found)


def test_git_strips_notebooks_in_this_clone() -> None:
    known = checks.knows_notebooks(ROOT)
    assert not known or checks.strips_outputs(ROOT), "run: uv run setup-clone"


def test_a_clean_notebook_has_no_problem(tmp_path: Path) -> None:
    write_notebook(tmp_path, "fine", "%matplotlib inline\n!ls\nx = 1", "def f(x):\n    return x")
    write_notebook(tmp_path, "shell", "%%bash\nls /here && def")
    assert problems(tmp_path) == []


def test_too_many_cells(tmp_path: Path) -> None:
    write_notebook(tmp_path, "long", *"abcd")
    (line,) = problems(tmp_path)
    assert line == "notebooks/long.ipynb: 4 cells, 3 are allowed; split the notebook"
    assert problems(tmp_path, long=["cells"]) == []
    assert problems(tmp_path, other=["cells"]) == [line]


@pytest.mark.parametrize("kind", ["code", "markdown"])
@pytest.mark.parametrize(
    "text",
    [
        "pd.read_csv('/home/ada/table.csv')",
        "![](/Users/ada/figure.png)",
        'open("C:\\\\data\\\\x.csv")',
        "C:/Users/ada",
        "see ~/notes.md",
        "f'/data/{name}'",
        r"\\server\share",
    ],
)
def test_paths_of_one_machine(tmp_path: Path, kind: str, text: str) -> None:
    write_notebook(tmp_path, "paths", "1", text, kind=kind)
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/paths.ipynb: cell 2: ")
    assert problems(tmp_path, paths=["paths"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "config.root / 'data/raw'",
        "https://example.org/home/data/",
        "../data/raw/x.csv",
        "a / b, 'raw/data/x', f'{root}/data/x'",
        "rate: 3/data/4",
        "print('a:\\n')",
        "http://host:8000/data/x",
    ],
)
def test_other_slashes_are_no_such_paths(tmp_path: Path, text: str) -> None:
    write_notebook(tmp_path, "paths", text)
    assert problems(tmp_path) == []


def test_a_long_function_wants_a_module(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a", "1", f"%time 1\n{LONG}")
    (line,) = problems(tmp_path)
    assert line == "notebooks/a.ipynb: cell 2: long has 4 lines; move it to a module"
    assert problems(tmp_path, a=["functions"]) == []


def test_a_function_in_two_notebooks_wants_a_module(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a", "def same(): ...", "def same(): ...")
    write_notebook(tmp_path, "team/b", "1", "def same(): ...")
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/team/b.ipynb: same is defined in notebooks/a.ipynb too")


def test_a_notebook_and_its_script_say_the_same(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "pair", "x = 1", "# %%", metadata={"tags": ["parameters"]})
    script = jupytext.writes(jupytext.read(path), fmt="py:percent")
    path.with_suffix(".py").write_text(script, encoding="utf-8")
    assert problems(tmp_path) == []
    write_notebook(tmp_path, "pair", "x = 1", "# %%", metadata={"tags": ["parameters"]}, outputs=[])
    assert problems(tmp_path) == []
    for sources, tag in ((["x = 2", "# %%"], "parameters"), (["x = 1", "# %%"], "other"), ([], "")):
        write_notebook(tmp_path, "pair", *sources, metadata={"tags": [tag]})
        (line,) = problems(tmp_path)
        assert line.startswith("notebooks/pair.ipynb: differs from notebooks/pair.py")
    path.write_text("<<<<<<< HEAD", encoding="utf-8")
    assert len(problems(tmp_path)) == 2


def test_a_long_module(tmp_path: Path) -> None:
    for name in ("src/package/module.py", "app.py", "tests/test_app.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" * 6, encoding="utf-8")
    assert problems(tmp_path) == [
        "app.py: 6 lines, 5 are allowed; split the module",
        "src/package/module.py: 6 lines, 5 are allowed; split the module",
    ]


def test_what_is_no_notebook(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "merged", "1")
    path.write_text("<<<<<<< HEAD\n{}", encoding="utf-8")
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/merged.ipynb: is no notebook")


def test_outputs_and_execution_counts(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
    write_notebook(tmp_path, "output", "1", outputs=[output])
    write_notebook(tmp_path, "count", "1", execution_count=1)
    write_notebook(tmp_path, "kept", "1", outputs=[output], metadata={"tags": ["keep_output"]})
    write_notebook(tmp_path, "first", "1", outputs=[output], metadata={"init_cell": True})
    (tmp_path / "merged.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    count, output_line = checks.check_outputs(tmp_path)
    assert count.startswith(
        "notebooks/count.ipynb: cell 1 holds an output; run `uv run setup-clone`"
    )
    assert output_line.startswith("notebooks/output.ipynb")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one notebook in it, for `setup-clone` to set up."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-config"))
    root = tmp_path / "a clone"
    notebook = write_notebook(root, "first", "1")
    (root / ".gitattributes").write_text("*.ipynb filter=nbstripout", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    checks.git(root, "add", notebook.as_posix())
    monkeypatch.setattr(setup_clone, "ROOT", root)
    return root


def test_setup_clone_sets_up_a_clone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.knows_notebooks(clone)
    assert not checks.strips_outputs(clone)
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    for _ in range(2):
        setup_clone.main()
        assert checks.strips_outputs(clone)
        assert (clone / ".git" / "hooks" / "pre-commit").exists()


def test_setup_clone_leaves_the_hooks_of_others(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    setup_clone.main()
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\n"
    assert "is not this project's" in capsys.readouterr().out


def test_setup_clone_outside_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(setup_clone, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    with pytest.raises(SystemExit, match="2"):
        setup_clone.main()
    assert "git init" in capsys.readouterr().err


SHOWN_CELLS = [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Größe\n", "\n", "text"]},
    {
        "cell_type": "code",
        "id": "b",
        "metadata": {"tags": ["parameters"]},
        "source": ["x = 1\n", "y = 2"],
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["hi\n"]}],
    },
    {"cell_type": "raw", "id": "c", "metadata": {}, "source": "one string"},
]
NOTEBOOK = json.dumps({"cells": SHOWN_CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
SCRIPT = """# %% [markdown]
# # Größe
#
# text

# %% {"tags": ["parameters"]}
x = 1
y = 2

# %% [raw]
# one string

# metadata: {}
"""


def test_a_notebook_reads_like_a_script() -> None:
    assert notebooks.notebook_text(NOTEBOOK) == SCRIPT


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": [1]}', f"<<<<<<< HEAD\n{NOTEBOOK}"])
def test_what_is_no_notebook_is_shown_as_it_is(text: str) -> None:
    assert notebooks.notebook_text(text) == text


@pytest.mark.parametrize("content", [NOTEBOOK.encode(), b"\xff\xfe broken"])
def test_git_gets_utf_8_and_no_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    alone = ("-I", "-S")  # without any package, so it is fast
    command = [sys.executable, *alone, notebooks.__file__, str(tmp_path / "a.ipynb")]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout.decode() in (SCRIPT, "\ufffd\ufffd broken")
