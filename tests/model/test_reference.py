"""What the tests make themselves is what the official code was given, and the reduced set is a part of the whole."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.data.parity.reduce import read_golden, read_manifest, reduced
from tests.model.conftest import REDUCED
from tests.support.models.reference import CASES, FAMILIES, cases, image, sam_only_embedding, video, weight

MOST_BYTES = 10**6


def module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"official_{path.stem}", path)
    assert specification and specification.loader
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_follows_the_same_rule(parity_data: Path, family: str) -> None:
    rule = module(parity_data / family / "weights_rule.py")
    for key, (shape, _) in read_manifest(parity_data / family).items():
        small = tuple(min(side, 5) for side in shape)  # the rule is about key and shape, the whole would take seconds
        assert np.array_equal(weight(key, small).float().numpy(), rule.value(key, small)), key


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_are_the_same(parity_data: Path, family: str) -> None:
    official = module(parity_data / family / "inputs.py")
    assert np.array_equal(image(), np.asarray(official.image()))
    assert np.array_equal(video(), [np.asarray(frame) for frame in official.video()])
    assert np.array_equal(sam_only_embedding(), official.sam_only_embedding())
    for name, case in {**official.CASES, "image_vp": official.VP_CASE}.items():
        assert {"kind": CASES[name].kind, "text": CASES[name].text, "answer": CASES[name].answer} == case
    assert np.array_equal(CASES["image_vp"].regions, official.vp_masks()[0].astype(bool))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reduced_set_is_a_part_of_the_whole(parity_data: Path, family: str) -> None:
    whole, part = read_golden(parity_data / family), read_golden(REDUCED / family)
    assert whole.keys() == part.keys()
    assert all(np.array_equal(part[key], reduced(key, array)) for key, array in whole.items())
    assert read_manifest(parity_data / family) == read_manifest(REDUCED / family)
    for path in (REDUCED / family).iterdir():
        if path.suffix in (".json", ".jinja"):
            assert path.read_bytes() == (parity_data / family / path.name).read_bytes(), path.name


def test_the_reduced_set_has_every_case_and_is_small() -> None:
    assert sum(path.stat().st_size for path in REDUCED.rglob("*") if path.is_file()) < MOST_BYTES
    for family, name in cases():
        golden = read_golden(REDUCED / family)
        assert {f"{name}/prompt_ids", f"{name}/seg_hidden", f"{name}/seg0/masks_packed"} <= golden.keys()
