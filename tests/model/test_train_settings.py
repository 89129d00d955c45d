"""What a training's run directory keeps of how it was made."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from refsav.model import train_settings
from refsav.model.train_config import TrainConfig
from refsav.model.train_settings import keep_settings


def test_a_library_that_is_not_installed_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_settings, "LIBRARIES", ("torch", "a-library-that-nobody-has"))
    keep_settings(tmp_path / "training.toml", TrainConfig())
    versions = tomllib.loads((tmp_path / "training.toml").read_text())["versions"]
    assert versions == {"torch": metadata.version("torch")}
