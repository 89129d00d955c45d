"""Referring sets and grounded captions as examples: each `[SEG]` has the mask of what its words mean."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.datasets.training_examples.example import TrainingExample
from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig
from refsav.datasets.training_sources.grounded_captions import GcgConfig, with_seg_tokens
from refsav.datasets.training_sources.own_images import OwnImagesConfig
from refsav.datasets.training_sources.referring_images import ReferringImagesConfig
from refsav.datasets.training_sources.referring_videos import ReferringVideosConfig
from refsav.errors import RecordError
from tests.datasets.external.test_gcg import CAPTION, entries
from tests.support.data import expression_sets as videos
from tests.support.data import image_sets as images
from tests.support.data.expression_sets import change_json, write_json


def read(config: TrainingSourceConfig, index: int = 0, seed: int = 0) -> TrainingExample:
    return config.open().source.read(index, np.random.default_rng(seed))


def colour_of(example: TrainingExample, mask: np.ndarray, frame: int = 0) -> str:
    """What is under a mask: the objects of the made sets are red or blue, on grey."""
    red, _, blue = example.frames[frame][mask].mean(axis=0)
    return "red" if red > blue else "blue"


def test_sentences_of_an_image_are_one_conversation_of_its_different_objects(tmp_path):
    folder = images.write_refcoco(tmp_path / "sets", "refcoco")
    config = ReferringImagesConfig(dataset="refcoco", path=str(folder), usual_wording=1, repeats=5)
    assert (config.open().repeats, config.open().source.name, len(config.open().source)) == (5, "refcoco (unc)", 1)
    all_said = set()
    for seed in range(10):
        example = read(config.model_copy(update={"objects": 2}), seed=seed)
        asked = [turn.question for turn in example.turns]
        assert {question.split()[2] for question in asked} == {"left", "right"}, "two objects, one sentence each"
        for question, (mask,) in zip(asked, example.masks, strict=True):
            assert colour_of(example, mask) == {"left": "red", "right": "blue"}[question.split()[2]]
        all_said |= set(asked)
    assert "Please segment left one in train in this image." in all_said
    assert len(read(config).turns) == 3, "a second sentence of an object, when there is room"


def test_a_picture_of_another_size_than_its_annotation_is_reported(tmp_path):
    folder = images.write_refcoco(tmp_path / "sets", "refcocog", "umd")
    picture = next((tmp_path / "sets/train2014").glob("*_000000000001.jpg"))
    cv2.imwrite(str(picture), np.zeros((10, 20, 3), np.uint8))
    config = ReferringImagesConfig(dataset="refcocog", path=str(folder))
    reported = r"instances\.json:images\[id=1\]: the mask is 48x64, the image 10x20"
    with pytest.raises(RecordError, match=reported):
        read(config)
    picture.unlink()
    with pytest.raises(RecordError, match="the image is missing"):
        read(config)


@pytest.mark.parametrize(
    ("dataset", "write", "split"),
    [
        ("mevis", videos.write_mevis, "valid_u"),
        ("revos", videos.write_revos, "valid"),
        ("ref-youtube-vos", videos.write_ref_youtube_vos, "train"),
        ("ref-youtube-vos", lambda folder: videos.write_ref_youtube_vos(folder, table=True), "train"),
    ],
)
def test_expressions_of_a_video_have_their_masks_in_every_frame(tmp_path, dataset, write, split):
    config = ReferringVideosConfig(dataset=dataset, path=str(write(tmp_path)), split=split, frames=4)
    assert len(config.open().source) == 2
    for seed in range(4):
        example = read(config, seed % 2, seed)
        assert len(example.frames) == 4 and len(example.turns) in (3, 4)
        assert any(mask.any() for masks in example.masks for mask in masks)
        for turn, masks in zip(example.turns, example.masks, strict=True):
            meant = {word: word in turn.question for word in ("red", "blue", "both", "1", "2")}
            for frame, mask in enumerate(masks):
                if mask.any() and not meant["both"]:
                    found = colour_of(example, mask, frame)
                    assert meant["red"] or meant["1"] if found == "red" else meant["blue"] or meant["2"]
    asked = {turn.question for seed in range(9) for turn in read(config, 0, seed).turns}
    if dataset in ("mevis", "revos"):
        assert "what is blue? Please respond with a segmentation mask." in asked


def test_pictures_of_masks_are_read_of_the_frames_that_are_shown_alone(tmp_path):
    folder = videos.write_ref_youtube_vos(tmp_path)
    config = ReferringVideosConfig(dataset="ref-youtube-vos", path=str(folder), frames=2)
    whole = read(config, 0, 3)
    for picture in (folder / "train/Annotations").rglob("*.png"):
        picture.rename(picture.with_suffix(".away"))
    needed = set()
    for _ in range(3):  # each of the two frames is named once
        try:
            example = read(config, 0, 3)
        except RecordError as error:
            needed.add(error.path)
            error.path.with_suffix(".away").rename(error.path)
    assert len(needed) == 2
    for masks, others in zip(example.masks, whole.masks, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(masks, others, strict=True))


def test_an_expression_that_means_no_object_has_empty_masks(tmp_path):
    folder = videos.write_revos(tmp_path)

    def mean_nothing(content):
        for video in content["videos"].values():
            video["expressions"]["0"] |= {"anno_id": [], "obj_id": []}

    change_json(folder / "meta_expressions_valid_.json", mean_nothing)
    example = read(ReferringVideosConfig(dataset="revos", path=str(folder), split="valid"))
    seen = {
        turn.question: any(mask.any() for mask in masks)
        for turn, masks in zip(example.turns, example.masks, strict=True)
    }
    assert {"red box" in question: visible for question, visible in seen.items()} == {True: False, False: True}


def test_a_split_without_masks_cannot_be_trained_on(tmp_path):
    config = ReferringVideosConfig(dataset="mevis", path=str(videos.write_mevis(tmp_path)), split="valid")
    with pytest.raises(RecordError, match="has no masks\n  fix: train on a split whose masks are published"):
        read(config)


def test_a_set_that_is_not_there_says_what_is_missing(tmp_path):
    with pytest.raises(RecordError, match=r"meta_expressions_train_\.json: is missing"):
        ReferringVideosConfig(dataset="revos", path=str(tmp_path)).open()
    with pytest.raises(RecordError, match=r"refs\(unc\)\.p: is missing"):
        ReferringImagesConfig(dataset="refcoco+", path=str(tmp_path)).open()
    with pytest.raises(RecordError, match="is not a folder; it should hold the images of GranDf"):
        GcgConfig(dataset="grandf", path="GranDf_HA_GCG_train.json", images=str(tmp_path / "images")).open()
    with pytest.raises(RecordError, match=r"is not a folder; it should hold the images that annotations\.json names"):
        OwnImagesConfig(path=str(tmp_path)).open()


@pytest.mark.parametrize("kind", ["grandf", "openpsg", "refcocog", "flickr"])
def test_each_phrase_of_a_caption_has_its_mask_behind_it(tmp_path, kind):
    write_json(tmp_path / "train.json", entries(kind))
    folder = images.write_images(tmp_path / "images", ["a.jpg"])
    example = read(GcgConfig(dataset=kind, path=str(tmp_path / "train.json"), images=str(folder), usual_wording=1))
    (turn,) = example.turns
    assert turn.question.startswith("Could you please give me a detailed description of the image?")
    assert turn.answer.lower() == "a <p> blue box </p> [seg] and a <p> red box </p> [seg] on grey."
    assert [colour_of(example, mask) for (mask,) in example.masks] == ["blue", "red"]


def test_a_phrase_in_another_one_is_not_marked_twice(tmp_path):
    def overlap(content):
        content[0]["groundings"]["box"] = {"token_positives": [7, 10], "rle_masks": [images.rle(images.LEFT)]}

    write_json(tmp_path / "train.json", entries("grandf"))
    change_json(tmp_path / "train.json", overlap)
    folder = images.write_images(tmp_path / "images", ["a.jpg"])
    config = GcgConfig(dataset="grandf", path=str(tmp_path / "train.json"), images=str(folder))
    assert len(read(config).masks) == 2
    change_json(tmp_path / "train.json", lambda content: content[0].update(groundings={}))
    with pytest.raises(RecordError, match=r"a\.jpg: no phrase of the caption has a mask"):
        read(config)
    assert with_seg_tokens(CAPTION, []) == CAPTION


def own_images(folder: Path, **changes: object) -> OwnImagesConfig:
    """One image in the layout of the fine-tuning guide."""
    item = {
        "image": "a.jpg",
        "mask": [[images.polygon(images.LEFT)], [images.polygon(images.RIGHT)]],
        "text": ["The red box.", "the blue box"],
    }
    write_json(folder / "annotations.json", [item | changes])
    images.write_images(folder / "images", ["a.jpg"])
    return OwnImagesConfig(path=str(folder), usual_wording=1)


def test_own_images_have_outlined_objects(tmp_path):
    example = read(own_images(tmp_path))
    for turn, (mask,) in zip(example.turns, example.masks, strict=True):
        assert colour_of(example, mask) in turn.question
    assert {turn.question for turn in example.turns} == {
        "Please segment The red box in this image.",
        "Please segment the blue box in this image.",
    }
    assert len(read(own_images(tmp_path).model_copy(update={"objects": 1})).turns) == 1


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"text": ["one"]}, r"annotations\.json:\[0\]: has 2 masks and 1 texts"),
        ({"text": ["", " "]}, "has 2 masks and 0 texts"),
        ({"image": "../a.jpg"}, r"\[0\]\.image: '\.\./a\.jpg' is not a path below images"),
        ({"image": "b.jpg"}, r"b\.jpg: the image is missing"),
        ({"mask": [[[70, 5, 90, 5, 90, 20]]] * 2}, "no object with a text has a pixel in the image, which is 64x48"),
        ({"mask": "none"}, r"\[0\]\.mask: is not as published"),
    ],
)
def test_own_images_that_are_not_as_the_guide_has_them_are_reported(tmp_path, changes, reported):
    with pytest.raises(RecordError, match=reported):
        read(own_images(tmp_path, **changes))


def test_an_object_of_ones_own_without_a_text_is_skipped_and_reported(tmp_path):
    example = read(own_images(tmp_path, text=["", "the blue box"]))
    assert len(example.turns) == 1 and example.left_out[0].endswith("annotations.json: [0]: object 0 has no text")


def test_an_object_of_ones_own_without_a_pixel_is_skipped_and_reported(tmp_path):
    folder = own_images(tmp_path, mask=[[[70, 5, 90, 5, 90, 20]], [images.polygon(images.LEFT)]])
    for seed in range(4):
        example = read(folder, 0, seed)
        assert len(example.turns) == 1
        assert example.left_out[0].endswith(
            "annotations.json: [0]: object 0 has no pixel in the image, which is 64x48 pixels"
        )
        one = read(folder.model_copy(update={"objects": 1}), 0, seed)
        assert len(one.turns) == 1, "another object is drawn in its place"
