"""Weigh a baked project: uv run python scripts/weigh.py ../baked/customer_churn

Code is counted in tokens, so that neither comments, docstrings and blank lines nor short
names make a difference.
"""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
MARKUP = {".html", ".css", ".js", ".yaml", ".yml"}


def find_docstrings(text):
    """Return where the docstrings of a module start."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        (node.body[0].lineno, node.body[0].col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds) and ast.get_docstring(node) is not None
    }


def count_tokens(text):
    """Return the number of tokens of a module."""
    docstrings = find_docstrings(text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type not in NOT_CODE and t.start not in docstrings for t in tokens)


def weigh(project):
    """Return what a project weighs: tokens of code and of tests, lines, and files."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=project, capture_output=True, encoding="utf-8", check=True
    )
    paths = [Path(name) for name in listed.stdout.splitlines()]
    weight = {"code tokens": 0, "test tokens": 0, "markup lines": 0}
    for path in paths:
        text = (project / path).read_text(encoding="utf-8")
        if path.suffix in MARKUP:
            weight["markup lines"] += len(text.splitlines())
        if path.suffix == ".py":
            kind = "test" if path.parts[0] == "tests" else "code"
            weight[f"{kind} tokens"] += count_tokens(text)
            weight[f"{kind} lines"] = weight.get(f"{kind} lines", 0) + len(text.splitlines())
    return weight | {"files": len(paths)}


if __name__ == "__main__":
    for name, value in weigh(Path(sys.argv[1])).items():
        print(f"{value:8,} {name}")
