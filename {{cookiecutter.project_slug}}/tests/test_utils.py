from pathlib import Path

import pytest

from {{ cookiecutter.project_slug }}.utils import (
    UserError,
    calculate_rmse,
    clean_text,
    command,
    fingerprint,
    nearest,
    write_atomically,
)


def test_clean_text_removes_blanks_and_capitals() -> None:
    assert clean_text(" Hello World ") == "hello world"
    assert clean_text("two\t words\n") == "two words"


def test_calculate_rmse() -> None:
    assert calculate_rmse([1, 2, 3], [1, 2, 3]) == 0
    assert calculate_rmse([0, 0], [3, 4]) == pytest.approx(12.5**0.5)


def test_nearest_names_the_similar_one_or_nothing() -> None:
    assert nearest("hight", ["height", "width"]) == " (the nearest is 'height')"
    assert nearest("xyz", ["height", "width"]) == ""


def test_fingerprint_follows_the_content_of_files_and_folders(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one", encoding="utf-8")
    before = fingerprint(file), fingerprint(tmp_path)
    assert before == (fingerprint(file), fingerprint(tmp_path))
    file.write_text("two", encoding="utf-8")
    assert fingerprint(file) != before[0]
    assert fingerprint(tmp_path) != before[1]


def test_write_atomically_replaces_the_file_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with write_atomically(target) as file:
        file.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(target.parent.iterdir()) == [target]


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), write_atomically(target) as file:
        file.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_command_tells_a_user_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main() -> None:
        raise UserError("no such table; run: make one")

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: no such table; run: make one\n"
