"""The settings that a training records in its run directory, and the changes that it refuses."""

import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from refsav.datasets.training_sources.config import open_mixture
from refsav.errors import ConfigError
from refsav.model.training import run_settings as train_settings
from refsav.model.training.run_settings import digests_of, refuse_changes, write_settings
from refsav.model.training_config import TrainConfig
from tests.support.data.training_data import pocket, write_config


def keep(folder: Path, config: TrainConfig) -> None:
    write_settings(folder / "training.toml", config, digests_of(config, open_mixture(config.data)))


def compare(folder: Path, config: TrainConfig) -> None:
    refuse_changes(folder / "training.toml", config, digests_of(config, open_mixture(config.data)))


def test_a_library_that_is_not_installed_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_settings, "LIBRARIES", ("torch", "a-library-that-nobody-has"))
    write_settings(tmp_path / "training.toml", TrainConfig(), {})
    versions = tomllib.loads((tmp_path / "training.toml").read_text())["versions"]
    assert versions == {"torch": metadata.version("torch")}


def test_changed_data_is_reported_by_its_name(tmp_path: Path) -> None:
    config = TrainConfig.from_toml(write_config(tmp_path))
    keep(tmp_path, config)
    compare(tmp_path, config)
    listed = tmp_path / "images-of-mine/annotations.json"
    listed.write_text(json.dumps(json.loads(listed.read_text())[::-1]))
    with pytest.raises(ConfigError, match=r"other settings\n  data.sources, own-images \(0\): holds something else"):
        compare(tmp_path, config)


def test_a_replaced_initial_model_is_reported(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    config = TrainConfig.from_toml(path, {"model.origin": str(tmp_path / "origin")})
    model = pocket()
    model.save_pretrained(tmp_path / "origin")
    keep(tmp_path, config)
    compare(tmp_path, config)
    model.sam2.image_encoder.trunk.patch_embed.proj.bias.data += 1  # frozen: no checkpoint of a training has it
    model.save_pretrained(tmp_path / "origin")
    with pytest.raises(ConfigError, match=r"\n  model.origin: holds something else than before\n"):
        compare(tmp_path, config)


def test_the_micro_batch_is_tied_and_the_workers_are_free(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    keep(tmp_path, TrainConfig.from_toml(path))
    compare(tmp_path, TrainConfig.from_toml(path, {"learning.workers": 3, "learning.gradient_checkpointing": True}))
    with pytest.raises(ConfigError, match=r"learning.at_once: was 1, now 2"):
        compare(tmp_path, TrainConfig.from_toml(path, {"learning.at_once": 2}))


@pytest.mark.parametrize("content", ["", "config = 3\ndigests = 4", "[config]\n[digests", "[config]\n"])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "training.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"training.toml: cannot be used"):
        refuse_changes(tmp_path / "training.toml", TrainConfig(), {})
