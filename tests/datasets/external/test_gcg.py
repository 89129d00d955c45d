"""GranD-f's files are read as published: the val and test set, and training files in all three layouts."""

from pathlib import Path

import pytest

from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.gcg import open_gcg
from refsav.datasets.external.gcg_training import GcgFile, open_gcg_training
from refsav.datasets.masks import decode
from refsav.datasets.records import Rle
from refsav.errors import ConfigError, RecordError
from tests.support.data import image_sets as made
from tests.support.data.expression_sets import change_json, write_json

CAPTION = "A blue box and a red box on grey."
SIZE = (made.HEIGHT, made.WIDTH)


def test_captions_labels_and_masks_of_each_image(tmp_path: Path) -> None:
    opened = open_gcg(made.write_gcg(tmp_path), "val")
    assert opened.ids == ("sa_1", "sa_2")
    assert [path.name for path in opened.files] == ["val_gcg_coco_caption_gt.json", "val_gcg_coco_mask_gt.json"]
    for one in opened:
        assert one.image.is_file()
        assert one.labels == ("red box", "blue one")
        assert [decode(mask).sum() for mask in one.masks] == [
            made.mask_of(box).sum() for box in (made.LEFT, made.RIGHT)
        ]
    assert len(open_gcg(tmp_path / "GranDf/annotations", "test", images=tmp_path / "GranDf_HA_images/val_test")) == 1


def test_what_is_missing_or_unknown_is_reported(tmp_path: Path) -> None:
    folder = made.write_gcg(tmp_path)
    with pytest.raises(ConfigError, match="choose val or test"):
        open_gcg(folder, "train")
    with pytest.raises(RecordError, match="has no images: none of GranDf_HA_images/val_test"):
        open_gcg(folder / "GranDf", "val")
    files = folder / "GranDf/annotations/val_test"
    (files / "val_gcg_coco_mask_gt.json").unlink()
    with pytest.raises(RecordError, match=r"val_gcg_coco_mask_gt\.json: is missing"):
        open_gcg(folder, "val")
    change_json(
        files / "test_gcg_coco_mask_gt.json", lambda content: content["annotations"][0].update(segmentation="x")
    )
    with pytest.raises(RecordError, match=r"annotations\[image_id=sa_3\]: is not a mask with a size"):
        open_gcg(folder, "test").read(0)


def test_a_duplicate_image_is_reported(tmp_path: Path) -> None:
    folder = made.write_gcg(tmp_path)
    path = folder / "GranDf/annotations/val_test/val_gcg_coco_caption_gt.json"
    change_json(path, lambda content: content["annotations"].append(content["annotations"][0]))
    with pytest.raises(RecordError, match="annotations: lists 'sa_1' more than once"):
        open_gcg(folder, "val")


def entries(kind: GcgFile) -> object:
    """One caption in the layout of this file; the red box is second in the caption and first in the list."""
    red, blue = (CAPTION.index("red box"), CAPTION.index("red box") + 7), (2, 10)
    if kind == "refcocog":
        refs = [
            {"sentence": "Red box", "segmentation": [made.polygon(made.LEFT)]},
            {"sentence": "blue box", "segmentation": [made.polygon(made.RIGHT)]},
            {"sentence": "a green box", "segmentation": [made.polygon(made.RIGHT)]},
        ]
        return [{"17": {"img_file_name": "a.jpg", "caption": f'"{CAPTION}"', "refs": refs}}]
    if kind == "flickr":
        image = {"id": 3, "file_name": "a.jpg", "caption": CAPTION, "height": made.HEIGHT, "width": made.WIDTH}
        objects = [
            {"image_id": 3, "tokens_positive": [red], "sam_mask": made.rle(made.LEFT), "bbox": [0, 0, 1, 1]},
            {"image_id": 3, "tokens_positive": [blue], "sam_mask": made.rle(made.RIGHT), "bbox": [0, 0, 1, 1]},
            {"image_id": 3, "tokens_positive": [blue], "sam_mask": made.rle(made.LEFT), "ignore": True},
        ]
        return {"images": [image], "annotations": objects}
    groundings = {
        "red box": {"token_positives": red, "rle_masks": [made.rle(made.LEFT)]},
        "blue box": {"token_positives": blue, "rle_masks": [made.rle(made.RIGHT), made.rle(made.RIGHT)]},
        "grey": {"token_positives": (28, 32), "rle_masks": []},
    }
    return [{"file_name": "a.jpg", "caption": CAPTION, "groundings": groundings, "dense_caption": {}}]


@pytest.mark.parametrize("kind", ["grandf", "openpsg", "refcocog", "flickr"])
def test_phrases_stand_in_the_order_of_the_caption_each_with_its_mask(tmp_path: Path, kind: GcgFile) -> None:
    write_json(tmp_path / "train.json", entries(kind))
    (one,) = open_gcg_training(tmp_path / "train.json", kind, tmp_path / "images")
    assert one.image == tmp_path / "images/a.jpg"
    assert one.caption == (CAPTION.lower() if kind == "refcocog" else CAPTION)
    assert [one.caption[slice(*phrase.span)] for phrase in one.phrases] == ["blue box", "red box"]
    assert [phrase.text.lower() for phrase in one.phrases] == ["blue box", "red box"]
    for phrase, box in zip(one.phrases, (made.RIGHT, made.LEFT), strict=True):
        mask = phrase.mask if isinstance(phrase.mask, Rle) else read_segmentation(phrase.mask, SIZE)
        assert (decode(mask) == made.mask_of(box)).all()


def test_bad_training_files_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    with pytest.raises(RecordError, match=r"give GranDf_HA_GCG_train\.json of GranD-f"):
        open_gcg_training(path, "grandf", tmp_path)
    write_json(path, {"images": []})
    with pytest.raises(RecordError, match="is not a list of captions"):
        open_gcg_training(path, "openpsg", tmp_path)
    with pytest.raises(RecordError, match="images, annotations: are missing"):
        open_gcg_training(path, "flickr", tmp_path)
    write_json(path, [{"file_name": "../a.jpg", "caption": ""}, {"caption": ""}])
    opened = open_gcg_training(path, "grandf", tmp_path)
    with pytest.raises(RecordError, match=r"'\.\./a\.jpg' is not a path below"):
        opened.read(0)
    with pytest.raises(RecordError, match=r"\[1\]\.file_name: is not as published"):
        opened.read(1)
