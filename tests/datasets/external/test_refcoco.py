"""RefCOCO's files are read as published, split by split; errors name the place of missing or damaged data."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refsav.datasets.external.refcoco import open_refcoco
from refsav.datasets.masks import decode
from refsav.errors import ConfigError, RecordError
from tests.support.data import image_sets as made
from tests.support.data.expression_sets import change_json


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_sentence_comes_with_its_object(tmp_path: Path, protocol: int) -> None:
    opened = open_refcoco(made.write_refcoco(tmp_path, protocol=protocol), "refcoco")
    assert opened.keys == (("val", 2), ("testA", 3), ("testB", 4))
    for one in opened:
        assert one.image.is_file()
        assert one.size == (made.HEIGHT, made.WIDTH)
        assert [said.text for said in one.sentences] == ["left box", f"left one in {one.split}", "right box"]
        assert one.sentences[0].object_id == one.sentences[1].object_id != one.sentences[2].object_id
        for said, box in zip(one.sentences, (made.LEFT, made.LEFT, made.RIGHT), strict=True):
            assert (decode(said.truth) == made.mask_of(box)).all()


def test_splits_may_be_chosen_and_refcocog_has_its_own(tmp_path: Path) -> None:
    assert [one.split for one in open_refcoco(made.write_refcoco(tmp_path), "refcoco", ("train",))] == ["train"]
    folder = made.write_refcoco(tmp_path, "refcocog", "umd")
    opened = open_refcoco(folder.parent, "refcocog")
    assert [split for split, _ in opened.keys] == ["val", "test"]
    assert opened.name == "refcocog (umd)"
    assert [path.name for path in opened.files] == ["refs(umd).p", "instances.json"]


@pytest.mark.parametrize("place", ["images/mscoco/images/train2014", "coco2014/train2014"])
def test_images_are_found_where_others_keep_them_or_where_they_are_said_to_be(tmp_path: Path, place: str) -> None:
    folder = made.write_refcoco(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / "train2014").rename(tmp_path / place)
    assert open_refcoco(folder, "refcoco").read(0).image.is_file()
    (tmp_path / place).rename(tmp_path / "elsewhere")
    assert open_refcoco(folder, "refcoco", images=tmp_path / "elsewhere").read(0).image.is_file()
    with pytest.raises(RecordError, match="has no images of COCO 2014 near it"):
        open_refcoco(folder, "refcoco")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("refs(unc).p", r"refs\(unc\)\.p: is missing, and so is refcoco/refs\(unc\)\.p"),
        ("instances.json", r"instances\.json: is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, gone: str, message: str) -> None:
    folder = made.write_refcoco(tmp_path)
    (folder / gone).unlink()
    with pytest.raises(RecordError, match=message):
        open_refcoco(folder, "refcoco")


def test_unknown_splits_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    folder = made.write_refcoco(tmp_path)
    with pytest.raises(ConfigError, match="refcoco by unc: train, val, testA, testB"):
        open_refcoco(folder, "refcoco", ("test",))
    with pytest.raises(ConfigError, match=r"refcocog by unc: no splits"):
        open_refcoco(folder, "refcocog", split_by="unc")
    (folder / "refs(unc).p").write_bytes(pickle.dumps([]))
    with pytest.raises(RecordError, match="has no entry of split val"):
        open_refcoco(folder, "refcoco", ("val",))


def _object(key: str, value: object) -> Callable[[Any], None]:
    return lambda content: content["annotations"][2].update({key: value})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (_object("segmentation", {"size": [1, 1], "counts": [1]}), r"\[id=20\]\.segmentation: mask is 1x1, the image"),
        (_object("id", 999), r"annotations\[id=20\]: is missing, but the refs use it"),
        (lambda content: content["images"].pop(1), r"images\[id=2\]: is missing"),
        (
            lambda content: content["images"][1].update(file_name="../x.jpg"),
            r"'\.\./x\.jpg' is not a path below train2014",
        ),
    ],
)
def test_a_bad_image_is_reported_and_others_are_read(tmp_path: Path, how: Callable[[Any], None], message: str) -> None:
    folder = made.write_refcoco(tmp_path)
    change_json(folder / "instances.json", how)
    opened = open_refcoco(folder, "refcoco")
    with pytest.raises(RecordError, match=message):
        opened.read(0)
    assert opened.read(1).sentences


def test_damaged_files_are_reported_when_the_set_is_opened(tmp_path: Path) -> None:
    folder = made.write_refcoco(tmp_path)
    (folder / "refs(unc).p").write_bytes(pickle.dumps([{"split": "val"}]))
    with pytest.raises(RecordError, match=r"refs\(unc\)\.p:\[0\]\.ann_id: is not as published: field required"):
        open_refcoco(folder, "refcoco")
    (folder / "instances.json").write_text('{"images": []}')
    with pytest.raises(RecordError, match=r"instances\.json:annotations: is missing"):
        open_refcoco(folder, "refcoco")
    (folder / "instances.json").write_text('{"images": [')
    with pytest.raises(RecordError, match=r"line 1 column 13: is not valid JSON"):
        open_refcoco(folder, "refcoco")
