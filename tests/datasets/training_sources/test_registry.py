"""The registry of training sources: every entry is a kind, and a new reader needs a module and an entry."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from refsav.datasets.training_sources.registry import SOURCES, source_configs
from refsav.errors import ConfigError, RecordError
from tests.support.data import image_sets as images

EXAMPLE = Path(__file__).with_name("example_reader.py")
READ_THE_REGISTRY = (
    "refsav.datasets.training_sources.config",
    "refsav.api.training_data",
    "refsav.model.training_config",
)
"""Modules that depend on the registry when they are imported."""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the example's line to the registry, as it is in a process that starts afterwards."""
    entry = {"json-lines": "tests.datasets.training_sources.example_reader:JsonLinesConfig"}
    monkeypatch.setattr("refsav.datasets.training_sources.registry.SOURCES", {**SOURCES, **entry})
    for module in READ_THE_REGISTRY:
        monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A red and a blue box in each of two images, one line for each box."""
    folder = images.write_images(tmp_path / "boxes", ["a.jpg", "b.jpg"])
    lines = [
        {"image": name, "expression": f"the {colour} box of {name}", "mask": images.rle(box)}
        for name in ("a.jpg", "b.jpg")
        for colour, box in (("red", images.LEFT), ("blue", images.RIGHT))
    ]
    (folder / "objects.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder


def open_training_data(sources: list[dict[str, Any]]) -> Any:
    from refsav.api.training_data import open_training_data

    return open_training_data(sources)


def test_every_entry_is_the_configuration_of_its_kind() -> None:
    assert [config.model_fields["kind"].default for config in source_configs()] == list(SOURCES)


@pytest.mark.usefixtures("registered")
def test_a_reader_is_used_after_adding_its_entry(dataset: Path) -> None:
    data = open_training_data([{"kind": "json-lines", "path": str(dataset), "usual_wording": 1, "repeats": 2}])
    assert len(data) == 8
    questions = set()
    for position in data.grouped(epoch=0, batch=4):
        example = data.read(0, int(position))
        (turn,), ((mask,),), (image,) = example.turns, example.masks, example.frames
        questions.add(turn.question)
        assert mask.shape == image.shape[:2] == (images.HEIGHT, images.WIDTH)
        assert np.array_equal(mask, images.mask_of(images.LEFT if "red" in turn.question else images.RIGHT))
        assert "[SEG]" in turn.answer
    assert len(questions) == 4
    assert "Please segment the red box of a.jpg in this image." in questions


@pytest.mark.usefixtures("registered")
def test_a_training_configuration_opens_it_like_any_other_source(dataset: Path, tmp_path: Path) -> None:
    from refsav.datasets.training_sources.config import open_mixture
    from refsav.model.training_config import TrainConfig

    path = tmp_path / "train.toml"
    path.write_text(tomli_w.dumps({"data": {"sources": [{"kind": "json-lines", "path": str(dataset)}]}}))
    config = TrainConfig.from_toml(path)
    assert config.model_dump(mode="json")["data"]["sources"][0]["path"] == str(dataset)
    mixture = open_mixture(config.data)
    assert mixture.draw(0, 0).source == "json-lines"
    assert mixture.sources[0].source.files == (dataset / "objects.jsonl",)


@pytest.mark.usefixtures("registered")
def test_its_errors_name_the_key_the_file_and_the_line(dataset: Path) -> None:
    with pytest.raises(ConfigError, match=r"sources\.0\.json-lines\.paht: there is no such key; did you mean sources"):
        open_training_data([{"kind": "json-lines", "paht": str(dataset)}])
    with pytest.raises(ConfigError, match="'own-images', 'json-lines'"):
        open_training_data([{"kind": "jsonlines", "path": str(dataset)}])
    lines = (dataset / "objects.jsonl").read_text().splitlines()
    (dataset / "objects.jsonl").write_text(lines[0].replace('"size": [48', '"size": [24') + '\n{"image": \n')
    data = open_training_data([{"kind": "json-lines", "path": str(dataset)}])
    order = [int(index) for index in data.order(0)[:, 1]]
    with pytest.raises(RecordError, match=r"objects\.jsonl:line 1: the mask is 24x64"):
        data.read(0, order.index(0))
    with pytest.raises(RecordError, match=r"objects\.jsonl:line 2: Expecting value"):
        data.read(0, order.index(1))
    (dataset / "objects.jsonl").unlink()
    with pytest.raises(RecordError, match=r"objects\.jsonl: cannot be read: No such file"):
        open_training_data([{"kind": "json-lines", "path": str(dataset)}])


def test_the_example_is_short_enough_to_be_read_in_the_docs() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
