"""The embedded annotator against known truth: synthetic scenes through the real views, read from its sentences.

It sees only JPEGs and words, so this also proves that views are drawn right: a wrong outline gives a wrong movement.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pytest

from refsav.annotators.attributes.engine import AttributesEngine
from refsav.annotators.engines.config import EngineConfig
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
from refsav.annotators.stages.views import ViewsConfig, render
from refsav.datasets.records import ObjectCaptions, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video
from refsav.datasets.synthetic.scene import COLOURS
from refsav.datasets.synthetic.truth import ObjectTruth, read_truth
from refsav.datasets.synthetic.write_scenes import SynthConfig, write_scenes

SCENES = int(os.environ.get("REFSAV_TRUTH_SCENES", "60"))
"""docs/captioning.md gives what 200 reach."""
PAIRS = 1000
ENGINE = AttributesEngine(EngineConfig())
MAKER = RequestMaker(
    config=StagesConfig(), prompts=StagesConfig().load_prompts(), vlm_model="attributes", judge_model="attributes"
)
COLOUR_WORDS = {"turquoise" if name == "cyan" else name: name for name in COLOURS}
PLACE_WORDS = {
    "at the top left": ("left", "top"),
    "at the top": ("centre", "top"),
    "at the top right": ("right", "top"),
    "on the left": ("left", "middle"),
    "in the centre": ("centre", "middle"),
    "on the right": ("right", "middle"),
    "at the bottom left": ("left", "bottom"),
    "at the bottom": ("centre", "bottom"),
    "at the bottom right": ("right", "bottom"),
}
DIRECTION_WORDS = {
    "stays in nearly the same place": "still",
    "moves to the right": "right",
    "moves down and to the right": "down-right",
    "moves down": "down",
    "moves down and to the left": "down-left",
    "moves to the left": "left",
    "moves up and to the left": "up-left",
    "moves up": "up",
    "moves up and to the right": "up-right",
}


@dataclass(frozen=True)
class Described:
    """An object that is visible enough, and all that the engine said of it."""

    truth: ObjectTruth
    captions: ObjectCaptions
    scene: str
    video: str


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> list[Described]:
    folder = tmp_path_factory.mktemp("scenes")
    config = SynthConfig(videos=SCENES, seed=7, height=240, width=320, frames=48)
    assert len(list(write_scenes(folder, config))) == SCENES
    found = [thing for video in discover(folder, SourceConfig()) for thing in describe_video(video)]
    assert len(found) > 2 * SCENES
    return found


def describe_video(video: VideoFile) -> Iterator[Described]:
    truths = {
        (thing.source, thing.masklet_id): thing
        for thing in read_truth(video.media.with_name(f"{video.video_id}_truth.json")).objects
    }
    for track, views in render(video, read_video(video, SourceConfig()).tracks, ViewsConfig()):
        truth = truths[track.source, track.masklet_id]
        if truth.visible_enough:
            subject = Subject(track=track, views=views)
            captions = ObjectCaptions(crop=ask(CROP, subject), masked=ask(MASKED, subject))
            scene = ask(SCENE, (subject, captions))
            yield Described(truth, captions, scene.text, ask(VIDEO, (subject, scene)).text)


def ask(stage: Stage, item: object):
    request = MAKER.request(stage.task, stage.ask(item), attempt=0, route="")
    return stage.read(asyncio.run(ENGINE.answer(request)), MAKER.config)


def named_colour(text: str) -> str:
    """The first colour of the first sentence."""
    words = re.findall(r"[a-z]+", text.partition(".")[0].lower())
    return next((COLOUR_WORDS.get(word, word) for word in words if word in COLOUR_WORDS), "none")


def named_place(text: str) -> tuple[str, str] | None:
    found = re.search(r"It is ([a-z ]+)[,.]", text)
    return PLACE_WORDS.get(found[1]) if found else None


def named_direction(text: str) -> str:
    found = re.search(r"It ((?:moves|stays)[a-z ]*?)(?: on the screen)?[,.]", text)
    return DIRECTION_WORDS.get(found[1], found[1]) if found else "none"


def share(hits: list[bool], what: str) -> float:
    reached = float(np.mean(hits))
    print(f"{what}: {reached:.2%} of {len(hits)}")
    return reached


def test_names_the_colour(described: list[Described]) -> None:
    for what in ("captions.crop", "captions.masked", "video"):
        text_of = attrgetter(what)
        right = [named_colour(text_of(thing)) == thing.truth.colour for thing in described]
        assert share(right, f"colour in {what}") >= 0.95


def test_names_the_place(described: list[Described]) -> None:
    right = [named_place(thing.scene) == (thing.truth.place.across, thing.truth.place.down) for thing in described]
    assert share(right, "place") >= 0.95


def test_names_the_direction(described: list[Described]) -> None:
    right = [named_direction(thing.video) == thing.truth.motion.direction for thing in described]
    assert share(right, "direction of movement") >= 0.95


def test_judge_keeps_true_pairs(described: list[Described]) -> None:
    kept = [ask(JUDGE, thing.captions)[0] for thing in described]
    assert share(kept, "true pairs kept") >= 0.95


def test_judge_drops_pairs_of_two_objects(described: list[Described]) -> None:
    random = np.random.default_rng(0)
    dropped = []
    while len(dropped) < PAIRS:
        first, second = random.choice(len(described), 2, replace=False)
        captions = ObjectCaptions(crop=described[first].captions.crop, masked=described[second].captions.masked)
        dropped.append(not ask(JUDGE, captions)[0])
    assert share(dropped, "pairs of two objects dropped") >= 0.90
