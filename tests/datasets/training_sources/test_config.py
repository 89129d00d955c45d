"""The configuration of training data: the paper's mixture as a file, wrong keys reported, sources opened together."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic import Field

from refsav.cli.options import takes_options_of
from refsav.config import Config
from refsav.datasets.training_sources.config import DataConfig, open_mixture
from refsav.datasets.training_sources.registry import SOURCES
from refsav.errors import ConfigError, RecordError
from tests.support.data import image_sets as images
from tests.support.data.expression_sets import write_json

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs/data"
TABLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/training-data.md").read_text(), re.DOTALL)


class Training(Config):
    """As a training's TOML file has it."""

    data: DataConfig = Field(DataConfig(), description="Data.")


def test_the_papers_mixture_is_a_file():
    sources = Training.from_toml(CONFIGS / "sa2va.toml").data.sources
    assert {source.name: source.repeats for source in sources} == {
        "RefCOCO": 5,
        "RefCOCO+": 5,
        "RefCOCOg": 4,
        "LLaVA-1.5": 1,
        "ReVOS": 10,
        "MeViS": 4,
        "Ref-YouTube-VOS": 4,
        "Ref-SAV": 4,
        "Video-ChatGPT": 1,
        "GCG RefCOCOg": 5,
        "GCG GranD-f": 50,
        "GCG Flickr30k": 5,
        "GCG OpenPSG": 5,
        "Osprey conversations": 1,
        "Osprey descriptions": 1,
    }


def test_the_tables_of_the_documentation_fit_and_show_every_kind():
    shown = {
        source.kind for table in TABLES for source in Training.from_mapping(tomllib.loads(table), "docs").data.sources
    }
    assert shown == set(SOURCES)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_a_source_that_is_not_there_is_reported_before_anything_is_read(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match="fix: "):
        open_mixture(Training.from_toml(path).data)


def test_sources_are_mixed_as_often_as_configured(tmp_path):
    folder = images.write_refcoco(tmp_path / "sets")
    said = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A box."}]
    write_json(tmp_path / "llava.json", [{"image": "a.jpg", "conversations": said}, {"conversations": said}])
    images.write_images(tmp_path / "images", ["a.jpg"])
    config = Training.from_mapping(
        {
            "data": {
                "seed": 5,
                "sources": [
                    {"kind": "referring-images", "dataset": "refcoco", "path": str(folder), "repeats": 3},
                    {"kind": "image-qa", "path": str(tmp_path / "llava.json"), "images": str(tmp_path / "images")},
                ],
            }
        },
        "test",
    )
    mixture = open_mixture(config.data)
    assert (len(mixture), mixture.seed) == (4, 5)
    names = sorted(mixture.read(0, position).name.split()[0] for position in range(4))
    assert names == ["image-qa", "refcoco", "refcoco", "refcoco"]
    assert mixture.lengths(0).dtype == np.int64 and mixture.lengths(0).min() > 256
    assert mixture.sources[1].notes == ("conversations without an image, left out: 1",)


def test_wrong_keys_and_kinds_are_reported_with_the_nearest_right_one():
    wrong = {
        "data": {"sources": [{"kind": "ref-sav", "path": "a", "repaets": 2}, {"kind": "refsav"}, {"kind": "ref-sav"}]}
    }
    with pytest.raises(ConfigError) as raised:
        Training.from_mapping(wrong, "data.toml")
    reported = str(raised.value)
    assert "data.sources.0.ref-sav.repaets: there is no such key; did you mean data.sources.repeats?" in reported
    assert "data.sources.1: Input tag 'refsav'" in reported and "'own-images'" in reported
    assert "data.sources.2.ref-sav.path: Field required" in reported


def test_sources_are_left_out_by_name(tmp_path):
    folder = images.write_refcoco(tmp_path / "sets")
    source = {"kind": "referring-images", "dataset": "refcoco", "path": str(folder)}
    data = {"sources": [source, {**source, "name": "another", "path": "not there"}]}
    assert len(open_mixture(DataConfig.from_mapping({**data, "without": ["another"]}, "test"))) == 1
    with pytest.raises(ConfigError, match="there is no source 'others'\n  fix: name one of referring-images, another"):
        open_mixture(DataConfig.from_mapping({**data, "without": ["others"]}, "test"))


def test_nothing_to_train_on_is_reported():
    with pytest.raises(ConfigError, match=r"the data has no examples\n  fix: name a source under data\.sources"):
        open_mixture(DataConfig())


def test_lists_of_tables_are_no_options():
    @takes_options_of(Training)
    def command(overrides: dict[str, object]) -> dict[str, object]:
        return overrides

    taken = command.__annotations__
    assert "data__bad_share" in taken and "data__sources" not in taken
    assert command(data__seed=3, data__bad_share=None, data__without=[]) == {"data.seed": 3}
