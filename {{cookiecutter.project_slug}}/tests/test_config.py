from pathlib import Path

import pytest

from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.utils import UserError


def test_paths_start_at_the_folder_of_the_file(config: Config) -> None:
    assert config.paths.model == config.root / "models" / "model.onnx"
    assert config.paths.raw == str(config.root / "data" / "raw" / "*.csv")


def test_is_found_from_a_folder_below(config: Config) -> None:
    below = config.root / "notebooks"
    below.mkdir()
    assert read_config(below).root == config.root


def test_without_the_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.yaml in .*; run this from the project"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_share: 0.2", "test_share: 2", r"training\.test_share: .* less than 1"),
        ("test_share: 0.2", "test_shore: 0.2", r"training\.test_shore: Extra inputs"),
        ("test_share: 0.2", "test_share: [", "not valid YAML"),
        ("target: outcome", "goal: outcome", r"table\."),
    ],
)
def test_a_mistake_is_named(config: Config, old: str, new: str, message: str) -> None:
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_config(config.root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "- a list", "text"])
def test_other_content_is_one_line_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(tmp_path)
