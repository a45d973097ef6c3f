import pytest

from {{ cookiecutter.project_slug }}.utils import (
    UserError,
    append_record,
    calculate_rmse,
    clean_text,
    command,
    write_atomically,
)


def test_clean_text():
    assert clean_text(" Hello World ") == "hello world"
    assert clean_text("two\t words\n") == "two words"


def test_calculate_rmse():
    assert calculate_rmse([1, 2, 3], [1, 2, 3]) == 0
    assert calculate_rmse([0, 0], [3, 4]) == pytest.approx(12.5**0.5)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), write_atomically(path) as file:
        file.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_record_follows_an_interrupted_one_on_a_new_line(tmp_path):
    file = tmp_path / "records.jsonl"
    file.write_text('{"status": "ok"}\n{"stat', encoding="utf-8")
    append_record({"status": "größer"}, file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ['{"stat', '{"status": "größer"}']


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("no table; run: uv run pipeline.py"), 2, "error: no table; run: "),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(error, code, message, capsys):
    @command
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code
    assert capsys.readouterr().err.startswith(message)
