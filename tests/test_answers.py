"""Every answer ends up unchanged in every file, or is refused in one line."""

import ast
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from conftest import TEMPLATE
from cookiecutter.generate import generate_files
from markdown_it import MarkdownIt

from hooks.answers import markdown, problems, quoted, slug, wrong_slug

CARRIED = [
    'say "hi"',
    "it's ''' and \"\"\"",
    r"back\slash \n \u0041 \\",
    "party 🎉🏳️‍🌈",
    "客户流失",
    "Ünïcödé Straße",
    "مشروع البيانات",
    "2024 Sales!",
    "class",
    "json",
    "pandas",
    "../x",
    "/etc",
    "a/b",
    r"C:\x",
    "{{ 1 }}",
    "{{ nothing }} {{cookiecutter.project_slug}}",
    "{% raw %}",
    "{% endraw %}{% endif %}",
    "{# a note",
    '"; import os #',
    "$(touch x) `id` $HOME %PATH%",
    "<script>alert(1)</script> &amp;",
    "# *a* _b_ [c](d) | ~e~",
    "- 1. + = > !",
    "1. first",
    "key: value, [x] {y} & *z !t",
    " blanks around ",
    "\ufeffmark and \uffff",
    "x" * 100,
]

REFUSED_TEXTS = {
    "empty": "",
    "blanks": "   ",
    "invisible": "\u200b",
    "two lines": "a\nb",
    "last line end": "a\n",
    "carriage return": "a\rb",
    "line separator": "a\u2028b",
    "next line": "a\x85b",
    "tab": "a\tb",
    "escape": "\x1b[31mred",
    "delete": "a\x7fb",
    "not UTF-8": "a\udcffb",
    "very long": "x" * 301,
}

REFUSED_SLUGS = [
    *("", " ", "a b", "a-b", "A", "_a", "a_", "1a", "é", "客户", "a\n", "\udcff", "x" * 31),
    *("class", "match", "json", "compression", "pandas", "sklearn", "yaml", "app", "tests", "con"),
    *("../x", "/etc", "a/b", r"C:\x", ".", "..", "~", 'a"b', "a\\"),
    *("{{ 1 }}", "{% raw %}", "{#", '"; import os #', "$(touch x)"),
]

SLUGS = {
    "Customer Churn": "customer_churn",
    "2024 Sales!": "project_2024_sales",
    "Don't  stop--now": "dont_stop_now",
    "Über Straße": "uber_strasse",
    "客户流失": "my_project",
    "🎉": "my_project",
    "class": "class_project",
    "JSON": "json_project",
    "pandas": "pandas_project",
    "scikit-learn": "scikit_learn_project",
    "App": "app_project",
    "CON": "con_project",
    "../x": "x",
    r"C:\x": "c_x",
    "__init__": "init",
    "x" * 60: "x" * 30,
    "x" * 29 + " y": "x" * 29,
}

ANSWERS = {
    "project_name": "Customer Churn",
    "project_slug": "customer_churn",
    "description": "What it does.",
    "author_name": "Ada Lovelace",
}

PARSERS = {
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
    ".json": json.loads,
    ".ipynb": json.loads,
    ".py": ast.parse,
}


def command_line(into, *options, typed=None, **answers):
    """Run cookiecutter as a person does; `typed` answers its questions."""
    asking = () if typed is not None else ("--no-input",)
    options = (*asking, *options, "--default-config", "--output-dir", str(into))
    pairs = [f"{question}={answer}" for question, answer in answers.items()]
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", *options, str(TEMPLATE), *pairs],
        input=typed,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def assert_refused(result, question, folder):
    """Check that one line names the question, the exit code is 1, and no folder is left."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert said.startswith(question)
    assert len(said.splitlines()) == 1
    assert list(folder.iterdir()) == []


def assert_parses(project):
    """Every file with a grammar keeps it."""
    for path in project.path.rglob("*"):
        if path.suffix in PARSERS and ".git" not in path.parts:
            PARSERS[path.suffix](path.read_text(encoding="utf-8"))


def metadata(project):
    """What pyproject.toml says of the project."""
    return tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# --- carried ---


@pytest.mark.parametrize("answer", CARRIED)
def test_an_answer_is_carried_unharmed(bake, answer):
    project = bake(project_name=answer, description=answer, author_name=answer)
    assert_parses(project)
    assert metadata(project)["description"] == answer
    assert metadata(project)["authors"] == [{"name": answer}]
    assert metadata(project)["name"] == project.path.name == slug(answer)
    assert answer in (project.path / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_answer_typed_is_carried_as_typed(tmp_path):
    result = command_line(tmp_path, typed="{{ 1 }}\nchurn\n{% raw %}\n[bold]Ada[/]\n3\n")
    assert result.returncode == 0, result.stdout + result.stderr
    text = (tmp_path / "churn" / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["description"] == "{% raw %}"
    assert tomllib.loads(text)["project"]["authors"] == [{"name": "[bold]Ada[/]"}]


@pytest.mark.parametrize(("name", "expected"), SLUGS.items())
def test_a_name_becomes_a_slug_that_is_accepted(name, expected):
    assert slug(name) == expected
    assert wrong_slug(expected) is None


@pytest.mark.parametrize("text", [*CARRIED, *REFUSED_TEXTS.values()])
def test_quoted_text_reads_the_same_everywhere(text):
    text = text.replace("\udcff", "")  # half a character: no file can hold it
    assert tomllib.loads(f"x = {quoted(text)}")["x"] == text
    assert yaml.safe_load(f"x: {quoted(text)}")["x"] == text
    assert json.loads(quoted(text)) == text
    assert ast.literal_eval(quoted(text)) == text


@pytest.mark.parametrize("text", CARRIED)
def test_markdown_shows_the_text_as_it_is(text):
    shown = html.escape(text.strip(), quote=False).replace('"', "&quot;")
    assert MarkdownIt().render(markdown(text)) == f"<p>{shown}</p>\n"
    assert MarkdownIt().render(f"# {markdown(text)}") == f"<h1>{shown}</h1>\n"


# --- refused ---


@pytest.mark.parametrize("question", ["project_name", "description", "author_name"])
@pytest.mark.parametrize("answer", REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_a_text_that_cannot_be_carried_is_known(question, answer):
    (problem,) = problems({**ANSWERS, question: answer})
    assert problem.startswith(question)


@pytest.mark.parametrize("answer", REFUSED_SLUGS)
def test_a_slug_that_cannot_be_carried_is_known(answer):
    (problem,) = problems({**ANSWERS, "project_slug": answer})
    assert problem.startswith("project_slug")


@pytest.mark.slow
@pytest.mark.parametrize("question", ["project_name", "description", "author_name"])
@pytest.mark.parametrize("answer", REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_a_text_that_cannot_be_carried_is_refused(tmp_path, question, answer):
    assert_refused(command_line(tmp_path, **{question: answer}), question, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("answer", REFUSED_SLUGS)
def test_a_slug_that_cannot_be_carried_is_refused(tmp_path, answer):
    result = command_line(tmp_path, project_slug=answer)
    assert_refused(result, "project_slug", tmp_path)
    advice = re.search("such as '(.+?)'", result.stdout)[1]
    assert wrong_slug(advice) is None


@pytest.mark.slow
def test_a_refusal_comes_after_its_question_and_says_how_to_repeat_the_others(tmp_path):
    result = command_line(tmp_path, typed="Ada's {{ 1 }} Houses\nno slug\n")
    assert result.returncode == 1
    line = (result.stdout + result.stderr).splitlines()[-1]
    assert "project_slug 'no slug' must consist of" in line
    assert "[3/5]" not in result.stdout
    (again,) = shlex.split(line.split(" add them to the command: ")[1])
    name, answer = again.split("=")
    typed = "\nhouses\n\n\n\n"
    assert command_line(tmp_path, typed=typed, **{name: answer}).returncode == 0
    text = (tmp_path / "houses" / "pyproject.toml").read_text(encoding="utf-8")
    expected = "Predict ada's {{ 1 }} houses from tabular data."
    assert tomllib.loads(text)["project"]["description"] == expected


# --- licences ---


@pytest.mark.parametrize(
    ("license_", "first", "last"),
    [
        ("MIT", "MIT License", "SOFTWARE."),
        ("BSD-3-Clause", "BSD 3-Clause License", "SUCH DAMAGE."),
        ("Apache-2.0", "Apache License", "limitations under the License."),
        ("Proprietary", "Copyright (c) ", "without warranty of any kind."),
    ],
)
def test_each_license_is_whole(bake, license_, first, last):
    text = (bake(license=license_).path / "LICENSE").read_text(encoding="utf-8")
    assert text.strip().startswith(first)
    assert text.endswith(f"{last}\n")
    assert "{%" not in text
    assert license_ == "Apache-2.0" or re.search(r"Copyright \(c\) 20\d\d,? Your Name", text)


# --- git and folders ---


def test_a_project_is_born_in_git_and_clean(bake):
    project = bake()
    assert project.run("git", "status", "--porcelain", "--branch").stdout == "## main\n"
    assert project.run("git", "log", "--format=%s").stdout == "Bake the project\n"


def test_signing_and_hooks_of_the_user_stay_out_of_it(bake, tmp_path, monkeypatch):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        (hooks / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[commit]\ngpgSign = true\n[core]\nhooksPath = {hooks.as_posix()}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert bake().run("git", "log", "--format=%s").stdout == "Bake the project\n"
    assert not (tmp_path / "ran").exists()


def test_no_repository_is_made_inside_another(bake, tmp_path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    project = bake(into=tmp_path)
    assert not (project.path / ".git").exists()
    assert project.run("git", "diff", "--cached", "--name-only").stdout == ""


def test_without_git_the_project_is_made(bake, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    project = bake()
    assert (project.path / "pyproject.toml").exists()
    assert not (project.path / ".git").exists()
    assert capfd.readouterr().err == ""


def test_without_an_identity_the_files_are_staged(bake, monkeypatch, capfd):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    monkeypatch.delenv("EMAIL", raising=False)
    project = bake()
    assert "user.name" in capfd.readouterr().err
    assert "A  pyproject.toml" in project.run("git", "status", "--porcelain").stdout
    assert project.run("git", "log").returncode != 0


@pytest.mark.skipif(os.name == "nt", reason="the broken git is a shell script")
def test_a_broken_git_is_one_line_and_no_failure(tmp_path, monkeypatch):
    (tmp_path / "git").write_text("#!/bin/sh\necho 'git is ill: ü' >&2\nexit 1\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    result = command_line(tmp_path)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1
    assert "git is ill" in result.stderr
    assert (tmp_path / "customer_churn" / "pyproject.toml").exists()


def test_under_cruft_git_is_left_to_it(tmp_path, capfd):
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    answers = {"project_slug": "churn", "license": "MIT", "_commit": "a1b2c3"}  # cruft's own key
    generate_files(TEMPLATE, {"cookiecutter": questions | answers}, tmp_path)
    assert (tmp_path / "churn" / "pyproject.toml").exists()
    assert not (tmp_path / "churn" / ".git").exists()
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "customer_churn").mkdir()
    mine = tmp_path / "customer_churn" / "mine.txt"
    mine.write_text("mine")
    result = command_line(tmp_path)
    assert result.returncode == 1
    assert "already exists" in result.stdout
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
    assert command_line(tmp_path, "-f").returncode == 0
    assert mine.read_text() == "mine"
    assert (mine.parent / "pyproject.toml").exists()


def test_with_f_a_failing_hook_leaves_the_files_alone(tmp_path):
    template, out = tmp_path / "template", tmp_path / "out"
    shutil.copytree(TEMPLATE, template, ignore=shutil.ignore_patterns(".*", "tests"))
    (template / "hooks" / "post_gen_project.py").write_text("raise SystemExit(1)\n")
    (out / "customer_churn").mkdir(parents=True)
    mine = out / "customer_churn" / "mine.txt"
    mine.write_text("mine")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", "-f"]
    result = subprocess.run([*command, "-o", str(out), str(template)], check=False)
    assert result.returncode == 1
    assert mine.read_text() == "mine"


def test_a_path_with_blanks_and_accents_will_do(bake, tmp_path):
    folder = tmp_path / "My Projects é"
    folder.mkdir()
    project = bake(into=folder)
    assert_parses(project)
    assert project.run("git", "status", "--porcelain").stdout == ""
