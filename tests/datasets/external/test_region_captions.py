"""Regions and their texts, as published in RefCOCOg's validation file and in Osprey's instructions."""

from pathlib import Path

import pytest

from refsav.datasets.external.region_captions import RegionDialogues, open_region_captions
from refsav.datasets.masks import decode
from refsav.errors import RecordError
from tests.support.data import image_sets as made
from tests.support.data.expression_sets import change_json, write_json


def test_each_region_has_its_mask_and_its_caption(tmp_path: Path) -> None:
    opened = open_region_captions(made.write_region_captions(tmp_path))
    assert opened.ids == ("7", "9")
    first, second = opened
    assert first.image == second.image
    assert first.image.is_file()
    assert [first.caption, second.caption] == ["a red box", "the blue box on the right"]
    assert (decode(first.region) == made.mask_of(made.LEFT)).all()
    assert (decode(second.region) == made.mask_of(made.RIGHT)).all()


def test_what_is_missing_or_damaged_is_reported(tmp_path: Path) -> None:
    folder = made.write_region_captions(tmp_path / "set")
    file = folder / "finetune_refcocog_val_with_mask.json"
    change_json(file, lambda content: content["annotations"].pop(0))
    opened = open_region_captions(folder)
    with pytest.raises(RecordError, match=r"images\[id=7\]: is neither polygons nor RLE: 'None'"):
        opened.read(0)
    assert opened.read(1).caption
    file.unlink()
    with pytest.raises(RecordError, match="is missing"):
        open_region_captions(folder)


def entry(**more: object) -> dict[str, object]:
    regions = [{"segmentation": [made.polygon(made.LEFT)]}, {"segmentation": made.rle(made.RIGHT)}]
    return {"file_name": "a.jpg", "height": made.HEIGHT, "width": made.WIDTH, "annotation": regions, **more}


def test_ospreys_conversations_and_descriptions(tmp_path: Path) -> None:
    made.write_images(tmp_path / "val2014", ["a.jpg"])
    turns = [("gpt", "Hello."), ("human", "What is <region1>?"), ("gpt", "A red box."), ("human", "And now?")]
    said = [{"from": who, "value": text} for who, text in turns]
    write_json(
        tmp_path / "osprey.json",
        [entry(conversations=said), entry(description=["red", "blue"]), entry(descriptions=["red", "blue"])],
    )
    opened = RegionDialogues(tmp_path / "osprey.json", [tmp_path / "train2014", tmp_path / "val2014"])
    asked, described, also = opened
    assert asked.turns == (("What is <region1>?", "A red box."),)
    assert asked.descriptions == ()
    assert described.descriptions == also.descriptions == ("red", "blue")
    assert asked.image == tmp_path / "val2014/a.jpg"
    for region, box in zip(asked.regions, (made.LEFT, made.RIGHT), strict=True):
        assert (decode(region) == made.mask_of(box)).all()


def test_a_bad_entry_of_osprey_is_reported(tmp_path: Path) -> None:
    folder = made.write_images(tmp_path / "train2014", ["a.jpg"])
    twice = [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]
    write_json(tmp_path / "osprey.json", [entry(file_name="b.jpg"), entry(conversations=twice), entry(height=3)])
    opened = RegionDialogues(tmp_path / "osprey.json", [folder])
    for index, message in enumerate(
        ["b.jpg is in none of train2014", "do not take turns", "mask is 48x64, the image 3x64"]
    ):
        with pytest.raises(RecordError, match=message):
            opened.read(index)
