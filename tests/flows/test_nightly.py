"""A night: refused before training with reasons, promoted when nothing was in use, not promoted when worse."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.disk.lock import exclusive
from refsav.flows.config.nightly import NightlyConfig, NightlyDirectory
from refsav.flows.nightly import nightly
from tests.flows.test_end_to_end import loop_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nightly")
    list(write_scenes(folder / "videos", SynthConfig(videos=6, frames=16, height=128, width=128)))
    return folder


def night(place: Path, **gates: float) -> State[Any]:
    loop = loop_config()
    settings = {name: getattr(loop, name) for name in ("build", "examples", "training", "inference")}
    config = NightlyConfig(**settings, gates=gates)
    return nightly(place / "videos", place / "dataset", place / "nightly", config, return_state=True)


def test_nights(place: Path) -> None:
    """In the order in which they come: each builds on what the one before has left."""
    places = NightlyDirectory(place / "nightly")
    refused = night(place, min_new_expressions=1000)
    assert (refused.type.value, refused.name) == ("COMPLETED", "Refused")
    assert "new expressions since the last promotion, 1000 are needed" in str(refused.message)
    assert not places.root.joinpath("trials").exists()

    assert night(place, min_new_expressions=1).name == "Completed"
    first = places.read_promoted()
    assert first is not None
    assert Path(first.checkpoint, "config.json").is_file()
    assert first.expressions > 0

    same = night(place, min_new_expressions=1)
    assert same.name == "Refused"
    assert "0 new expressions" in str(same.message)

    places.write_promoted(replace(first, expressions=0))  # as if the dataset had grown since
    assert night(place, min_new_expressions=1).name == "Completed"
    assert places.read_promoted() == first

    with exclusive(places.root):
        assert night(place).name == "Busy"
    with exclusive(place / "dataset"):
        assert night(place).name == "Busy"
