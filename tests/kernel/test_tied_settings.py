"""Settings that a run is tied to: which differences are found, and how they are reported."""

from pathlib import Path

import pytest
from pydantic import Field

from refsav.config import Config
from refsav.errors import ConfigError
from refsav.tied_settings import changed_settings, installed_versions, refuse_if_changed, value_at


class Inner(Config):
    frames: int = Field(4, description="Tied.")
    threads: int = Field(1, description="Free.")


class Outer(Config):
    views: Inner = Field(Inner(), description="A table.")
    seed: int = Field(0, description="Tied.")


def test_only_tied_settings_that_differ_are_listed() -> None:
    before = Outer().model_dump(mode="json")
    now = Outer.from_mapping({"views": {"frames": 8, "threads": 2}, "seed": 7}, "test")
    changes = changed_settings(before, now, lambda key: key != "views.threads")
    assert changes == ["views.frames: was 4, now 8", "seed: was 0, now 7"]
    assert changed_settings(before, Outer(), lambda _: True) == []


def test_a_key_that_the_record_lacks_counts_as_changed() -> None:
    assert changed_settings({"views": {}}, Outer(), lambda key: key != "views.threads") == [
        "views.frames: was None, now 4",
        "seed: was None, now 0",
    ]
    assert value_at({"views": 3}, "views.frames") is None


def test_a_refusal_names_the_record_every_change_and_the_fix() -> None:
    refuse_if_changed(Path("run.toml"), "run", [], "none needed")
    with pytest.raises(ConfigError) as caught:
        refuse_if_changed(Path("run.toml"), "run", ["a: was 1, now 2", "b: was 3, now 4"], "use another run")
    assert str(caught.value) == (
        "run.toml: this run was started with other settings\n"
        "  a: was 1, now 2\n  b: was 3, now 4\n  fix: use another run"
    )


def test_libraries_that_are_not_installed_are_left_out() -> None:
    assert list(installed_versions(("pydantic", "no-such-library-anywhere"))) == ["pydantic"]
