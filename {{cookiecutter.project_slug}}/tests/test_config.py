import pytest

from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.utils import UserError


def test_paths_start_at_the_folder_of_the_file(config):
    below = config.root / "notebooks"
    below.mkdir()
    found = read_config(below)
    assert found.root == config.root
    assert found.paths.model == config.root / "models" / "model.onnx"
    assert found.paths.raw == str(config.root / "data" / "raw" / "*.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_share: 0.2", "test_share: 2", r"training\.test_share: .* less than 1"),
        ("test_share: 0.2", "test_shore: 0.2", r"training\.test_shore: Extra inputs"),
        ("test_share: 0.2", "test_share: [", "not valid YAML"),
        ("target: outcome", "goal: outcome", r"table\."),
    ],
)
def test_a_mistake_in_config_yaml_is_named(config, old, new, message):
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_config(config.root)
    assert "\n" not in str(error.value)


def test_without_config_yaml_the_error_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml in .*; run this from the"):
        read_config(tmp_path)
