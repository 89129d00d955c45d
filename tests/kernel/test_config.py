"""Configuration: unknown keys are refused with their place and the nearest key; every key can be overridden."""

from pathlib import Path

import pytest
from pydantic import Field

from refsav.config import Config, leaves, with_overrides
from refsav.errors import ConfigError


class Inner(Config):
    frames: int = Field(8, ge=1)
    quality: int = 90


class Outer(Config):
    views: Inner = Inner()
    name: str = "x"


def test_an_unknown_key_is_refused_with_the_nearest_right_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[views]\nframe = 3\n")
    with pytest.raises(ConfigError, match=r"config\.toml.*\n.*views\.frame: .*did you mean views\.frames\?"):
        Outer.from_toml(path)


def test_a_key_in_the_wrong_table_is_pointed_to_its_table() -> None:
    with pytest.raises(ConfigError, match=r"did you mean views\.frames\?"):
        Outer.from_mapping({"frames": 3}, "here")


def test_every_problem_is_listed_with_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.from_mapping({"views": {"frames": 0, "quality": "high"}}, "here")
    assert "views.frames" in str(caught.value)
    assert "'high'" in str(caught.value)


def test_overrides_win_over_the_file_and_leave_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('name = "y"\n[views]\nframes = 4\nquality = 50\n')
    config = Outer.from_toml(path, {"views.frames": 12})
    assert config == Outer(name="y", views=Inner(frames=12, quality=50))


def test_overrides_leave_their_input_alone() -> None:
    values = {"views": {"frames": 1}}
    assert with_overrides(values, {"views.frames": 2}) == {"views": {"frames": 2}}
    assert values == {"views": {"frames": 1}}


@pytest.mark.parametrize(("content", "problem"), [("views = [", "is not TOML"), (None, "cannot be read")])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=problem):
        Outer.from_toml(path)


def test_leaves_are_the_dotted_keys() -> None:
    assert [key for key, _ in leaves(Outer)] == ["views.frames", "views.quality", "name"]
