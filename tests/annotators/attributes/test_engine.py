"""The embedded engine's door: what it answers, what it refuses, and how it describes real videos."""

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.annotators.attributes.engine import AttributesEngine
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply, Sampling, Task
from refsav.annotators.stages.reply_checks import read_description
from refsav.annotators.stages.stages import (
    CROP,
    JUDGE,
    MASKED,
    SCENE,
    VIDEO,
    RequestMaker,
    Stage,
    StagesConfig,
    Subject,
)
from refsav.annotators.stages.views import OUTLINE_RGB, PAINTED_OVER_RGB, ViewsConfig, encode_view, render
from refsav.datasets.frames import Image
from refsav.datasets.records import ObjectCaptions, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video

ENGINE = AttributesEngine(EngineConfig())
MAKER = RequestMaker(
    config=StagesConfig(), prompts=StagesConfig().load_prompts(), vlm_model="attributes", judge_model="attributes"
)


def request(task: Task, *images: Image | bytes, choices: tuple[str, ...] = (), **fields: str) -> ChatRequest:
    return ChatRequest(
        task=task,
        model="attributes",
        system="",
        user="",
        fields=fields,
        images=tuple(image if isinstance(image, bytes) else encode_view(image, 90) for image in images),
        sampling=Sampling(max_tokens=100, temperature=0, seed=0),
        choices=choices,
    )


def answer(question: ChatRequest) -> Reply:
    return asyncio.run(ENGINE.answer(question))


def ask(stage: Stage, item: object):
    question = MAKER.request(stage.task, stage.ask(item), attempt=0, route="")
    return stage.read(answer(question), MAKER.config)


def painted(rgb: tuple[int, int, int] = (210, 40, 40), at: int = 40) -> Image:
    """A frame with a disc and its outline."""
    image = np.full((120, 200, 3), (150, 150, 150), dtype=np.uint8)
    cv2.circle(image, (at, 60), 23, OUTLINE_RGB, -1)
    cv2.circle(image, (at, 60), 20, rgb, -1)
    return image


def masked(rgb: tuple[int, int, int] = (210, 40, 40)) -> Image:
    image = np.full((120, 200, 3), PAINTED_OVER_RGB, dtype=np.uint8)
    cv2.circle(image, (40, 60), 20, rgb, -1)
    return image


def test_takes_an_object_through_all_stages() -> None:
    assert answer(request("object-crop", masked()[34:86, 14:66])).text == "A red round object, even in tone."
    description = answer(request("object-masked", masked())).text
    assert description == "A large red round object, even in tone."
    scene = answer(request("scene", painted(), description="A red object.", masked=description)).text
    assert scene == (
        "A large red round object, even in tone. It is on the left, against a grey background, "
        "with nothing of another colour close by."
    )
    frames = [painted(at=at) for at in (40, 60, 80)]
    moved = answer(request("video", *frames, description=scene, hidden="none", seconds="1.0")).text
    assert "At one moment it is on the left, against" in moved
    assert moved.endswith("It moves to the right, from the left to the centre.")


def test_a_hidden_frame_is_named_and_not_searched() -> None:
    frames = [painted(at=at) for at in (40, 40, 40)]
    text = answer(request("video", *frames, description="A red object.", hidden="2")).text
    assert text == "A red object. It stays in nearly the same place. It is hidden for a while."


def test_answers_with_its_choice_and_confidence() -> None:
    choices = ("consistent", "conflict")
    same = answer(request("judge", choices=choices, first="A red object.", second="A red object."))
    other = answer(request("judge", choices=choices, first="A red object.", second="A green object."))
    assert (same.text, other.text) == choices
    assert 0.5 < other.confidence < 1
    assert 0.5 < same.confidence < 1
    reason = answer(request("judge-reason", first="A red object.", second="A green object.")).text
    assert reason == "The first description says red, the second green."


def test_same_request_same_text_with_words_counted() -> None:
    question = request("scene", painted(), description="A red object.", masked="")
    first, second = answer(question), answer(question)
    assert first.text == second.text
    assert (first.finish_reason, first.confidence, first.prompt_tokens) == ("stop", 1.0, 3)
    assert first.completion_tokens == len(first.text.split())
    assert first.seconds > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1), (8, 8), (40, 60)])
@pytest.mark.parametrize("rgb", [(0, 0, 0), PAINTED_OVER_RGB, OUTLINE_RGB])
def test_images_that_show_nothing_still_get_sensible_text(size: tuple[int, int], rgb: tuple[int, int, int]) -> None:
    blank = np.full((*size, 3), rgb, dtype=np.uint8)
    for question in (
        request("object-crop", blank),
        request("object-masked", blank),
        request("scene", blank, description="A red object.", masked="A red object."),
        request("video", blank, blank, description="A red object.", hidden="none"),
    ):
        assert len(read_description(answer(question), "en").split()) >= 3


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        (request("object-crop"), "task object-crop: the request holds 0 images, not one"),
        (request("scene", b"GIF89a", description=""), "task scene: image 1 of 1 is not a JPEG file"),
        (request("object-masked", b""), "task object-masked: image 1 of 1 is not a JPEG file"),
        (request("video", description=""), "task video: the request holds no image"),
        (
            request("video", painted(), painted()[:60], description=""),
            "task video: the images of one video differ in size",
        ),
        (request("judge", first="A red object."), "task judge: the request has no field 'second'"),
        (
            request("judge", choices=("yes", "no"), first="", second=""),
            "task judge: the answer 'consistent' is not among the choices ['yes', 'no']",
        ),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_with_its_reason(question: ChatRequest, problem: str) -> None:
    with pytest.raises(EngineError) as caught:
        answer(question)
    assert str(caught.value) == problem


def test_real_objects_are_described_and_nearly_all_kept(sav_data: Path) -> None:
    videos = [entry for entry in discover(sav_data, SourceConfig()) if isinstance(entry, VideoFile)]
    verdicts, texts = [], {}
    for video in videos:
        for track, views in render(video, read_video(video, SourceConfig()).tracks, ViewsConfig()):
            subject = Subject(track=track, views=views)
            captions = ObjectCaptions(crop=ask(CROP, subject), masked=ask(MASKED, subject))
            verdicts.append(ask(JUDGE, captions)[0])
            texts[str(track.key)] = ask(VIDEO, (subject, ask(SCENE, (subject, captions)))).text
    assert len(verdicts) == 16
    assert sum(verdicts) >= 15  # one crop shows a corner of a blue mat from so near that the floor is in its middle
    car = texts["vos_000002/manual/0"]
    assert "black and grey object, much wider than it is tall" in car
    assert "against a grey background" in car
    assert "while the camera moves to the right" in car
    assert "a camel" not in texts["vos_000001/manual/0"]
    assert "beige" in texts["vos_000001/manual/0"]
