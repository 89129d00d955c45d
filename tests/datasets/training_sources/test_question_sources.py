"""Questions about images, videos and marked regions as examples, and what is reported of lists that cannot be used."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig
from refsav.datasets.training_sources.image_qa import ImageQaConfig
from refsav.datasets.training_sources.video_qa import VideoQaConfig
from refsav.datasets.training_sources.visual_prompts import VisualPromptsConfig
from refsav.errors import RecordError
from tests.datasets.external.test_region_captions import entry
from tests.support.data import image_sets as images
from tests.support.data.expression_sets import write_json


def read(config: TrainingSourceConfig, index: int = 0, seed: int = 0) -> TrainingExample:
    return config.open().source.read(index, np.random.default_rng(seed))


def said(*messages: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": sender, "value": value} for sender, value in messages]


def image_qa(tmp_path: Path, *items: dict[str, object]) -> ImageQaConfig:
    write_json(tmp_path / "llava.json", list(items))
    images.write_images(tmp_path / "images/coco", ["a.jpg"])
    return ImageQaConfig(path=str(tmp_path / "llava.json"), images=str(tmp_path / "images"))


ASKED = said(("human", "<image>\nWhat is red?"), ("gpt", "A box."), ("human", "And blue?"), ("gpt", "Another."))


def test_a_conversation_about_an_image(tmp_path):
    config = image_qa(tmp_path, {"id": "1", "image": "coco/a.jpg", "conversations": ASKED})
    example = read(config)
    assert example.turns == (Turn("What is red?", "A box."), Turn("And blue?", "Another."))
    assert example.frames[0].shape == (images.HEIGHT, images.WIDTH, 3) and example.masks == ()
    assert config.open().source.name == "image-qa"


def test_conversations_about_no_image_are_left_out_and_counted(tmp_path):
    share = image_qa(
        tmp_path, {"id": 0, "conversations": ASKED}, {"image": "coco/a.jpg", "conversations": ASKED}
    ).open()
    assert len(share.source) == 1 and share.notes == ("conversations without an image, left out: 1",)
    assert share.source.read(0, np.random.default_rng(0)).turns[0].question == "What is red?"


def test_what_stands_before_the_first_question_and_behind_the_last_answer_is_passed_over(tmp_path):
    messages = said(("gpt", "Hello."), ("human", "a"), ("human", "b"), ("gpt", "c"), ("human", "d"))
    config = image_qa(tmp_path, {"image": "coco/a.jpg", "conversations": messages})
    assert read(config).turns == (Turn("a\nb", "c"),)


@pytest.mark.parametrize(
    ("item", "reported"),
    [
        ({"image": "coco/b.jpg", "conversations": ASKED}, r"coco/b\.jpg: the image is missing"),
        (
            {"image": "/etc/a.jpg", "conversations": ASKED},
            r"llava\.json:\[0\]\.image: '/etc/a\.jpg' is not a path below",
        ),
        ({"image": ["a.jpg"], "conversations": ASKED}, r"llava\.json:\[0\]\.image: is not as published"),
        ({"image": "coco/a.jpg"}, r"\[0\]\.conversations: is not as published"),
        ({"image": "coco/a.jpg", "conversations": said(("human", "a"))}, "has a conversation without an answer"),
        ({"image": "coco/a.jpg", "conversations": said(("bard", "a"))}, r"conversations\.0\.from: is not as published"),
        ({"image": "coco/a.jpg", "conversations": said(("human", "a"), ("gpt", "[SEG]"))}, r"have 1 \[SEG\]"),
    ],
)
def test_what_is_wrong_with_an_item_is_reported(tmp_path, item, reported):
    with pytest.raises(RecordError, match=reported):
        read(image_qa(tmp_path, item))


def test_a_picture_that_cannot_be_read_is_reported(tmp_path):
    config = image_qa(tmp_path, {"image": "coco/a.jpg", "conversations": ASKED})
    (tmp_path / "images/coco/a.jpg").write_bytes(b"no picture")
    with pytest.raises(RecordError, match=r"a\.jpg: is not a readable image"):
        read(config)


def write_video(path: Path, frames: int = 40) -> None:
    """Frame n has the grey 6 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(frames):
            picture = np.full((48, 64, 3), 6 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    "item",
    [
        {"id": 7, "video": "v_1.mp4", "conversations": said(("human", "What happens?\n<video>"), ("gpt", "Dawn."))},
        {"id": 7, "video": "v_1.mkv", "conversations": said(("human", "<video>\nWhat happens?"), ("gpt", "Dawn."))},
        {"video_id": "v_1", "q": "What happens?", "a": "Dawn."},
    ],
)
def test_a_question_about_a_video_in_both_layouts(tmp_path, item):
    write_video(tmp_path / "videos/v_1.mp4")
    write_json(tmp_path / "chat.json", [item])
    config = VideoQaConfig(path=str(tmp_path / "chat.json"), videos=str(tmp_path / "videos"), frames=4)
    for seed in range(3):
        example = read(config, seed=seed)
        assert example.turns == (Turn("What happens?", "Dawn."),)
        parts = [round(float(frame.mean()) / 6) // 10 for frame in example.frames]
        assert parts == [0, 1, 2, 3], "one of each quarter"


def test_a_video_that_is_missing_or_damaged_is_reported(tmp_path):
    write_video(tmp_path / "videos/torn.mp4")
    (tmp_path / "videos/torn.mp4").write_bytes((tmp_path / "videos/torn.mp4").read_bytes()[:300])
    write_json(tmp_path / "chat.json", [{"video_id": name, "q": "a", "a": "b"} for name in ("gone", "torn", "../x")])
    config = VideoQaConfig(path=str(tmp_path / "chat.json"), videos=str(tmp_path / "videos"))
    for index, problem in enumerate(
        ("gone: the video is missing", r"torn\.mp4: ", r"chat\.json:\[2\]: '\.\./x' is no")
    ):
        with pytest.raises(RecordError, match=problem):
            read(config, index)


def regions(tmp_path: Path, *items: dict[str, object]) -> VisualPromptsConfig:
    images.write_images(tmp_path / "train2014", ["a.jpg"])
    write_json(tmp_path / "osprey.json", list(items))
    folder = str(tmp_path / "train2014")
    return VisualPromptsConfig(path=str(tmp_path / "osprey.json"), images=(folder,), usual_wording=1)


def test_a_conversation_names_its_marked_regions(tmp_path):
    messages = said(("human", "What is <region1>, beside <region2>?"), ("gpt", "<region1> is red."))
    example = read(regions(tmp_path, entry(conversations=messages)))
    assert example.turns == (Turn("What is region1, beside region2?", "region1 is red."),)
    for mask, box in zip(example.regions, (images.LEFT, images.RIGHT), strict=True):
        assert np.array_equal(mask, images.mask_of(box))


def test_described_regions_are_named_by_their_numbers(tmp_path):
    config = regions(tmp_path, entry(description=["<region1>: red", "<region2>: blue"]))
    orders = set()
    for seed in range(10):
        example = read(config, seed=seed)
        for number, (turn, mask) in enumerate(zip(example.turns, example.regions, strict=True), 1):
            assert turn.question.endswith(f"marked by region{number}?")
            colour = "red" if np.array_equal(mask, images.mask_of(images.LEFT)) else "blue"
            assert turn.answer == f"region{number}: {colour}"
        orders |= {example.turns}
    assert len(orders) == 2
    assert len(read(config.model_copy(update={"regions": 1})).regions) == 1


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"description": ["red"]}, "has 1 descriptions for 2 regions"),
        ({}, "has 0 descriptions for 2 regions"),
        ({"description": ["red"], "annotation": [{"segmentation": [[0, 0, 1, 0, 0, 0]]}]}, "region 1 is empty"),
    ],
)
def test_regions_that_cannot_be_marked_are_reported(tmp_path, change, reported):
    with pytest.raises(RecordError, match=rf"osprey\.json:\[0\]: {reported}"):
        read(regions(tmp_path, entry(**change)))


def test_folders_that_are_missing_are_reported(tmp_path):
    with pytest.raises(RecordError, match="it should hold the videos of the list"):
        VideoQaConfig(path="chat.json", videos=str(tmp_path / "videos")).open()
    with pytest.raises(RecordError, match="it should hold the images of the list"):
        ImageQaConfig(path="llava.json", images=str(tmp_path / "images")).open()
    with pytest.raises(RecordError, match=r"llava\.json: cannot be read: No such file"):
        ImageQaConfig(path=str(tmp_path / "llava.json"), images=str(tmp_path)).open()


def test_pictures_are_read_as_they_are_stored(tmp_path):
    from PIL import Image

    from refsav.datasets.image_files import read_image

    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20] = (250, 10, 10)
    exif = Image.Exif()
    exif[274] = 6  # hold it upright
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "grey.png"), picture[..., 0])
    assert read_image(tmp_path / "grey.png").shape == (20, 40, 3)
