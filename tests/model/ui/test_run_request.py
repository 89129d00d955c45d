"""From what stands in the page to a result on disk, with a small model that always answers with a mask."""

import json
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.errors import RecordError
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip, as_clip, open_clip
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.point_prompts import Mark
from refsav.model.ui.examples import MAX_EXAMPLES, write_examples
from refsav.model.ui.run_request import (
    SavedResult,
    TaskProgress,
    TaskRequest,
    describe_clip,
    make_task,
    preview,
    preview_scale,
    run_request,
)
from refsav.processes.cancellation import StoppedError, ended_by
from tests.support.models.speaking import SENTENCE, write_speaking

SIZE = (90, 120)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Sa2VA:
    return Sa2VA.from_pretrained(write_speaking(tmp_path_factory.mktemp("model") / "speaking"), device="cpu")


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    shown = [np.full((*SIZE, 3), 90, np.uint8) for _ in range(7)]
    for place, frame in enumerate(shown):
        frame[20:60, 10 + 5 * place : 50 + 5 * place] = (200, 40, 40)
    return shown


@pytest.fixture
def picture(frames: list[np.ndarray]) -> Clip:
    return as_clip(frames[:1])


@pytest.fixture
def film(frames: list[np.ndarray]) -> Clip:
    return as_clip(frames)


def wanted(kind: str, **given: str) -> TaskRequest:
    usual = {"expressions": "", "question": "", "caption": "caption", "marks": "", **given}
    return TaskRequest(kind=kind, settings=InferenceSettings(), **usual)


def result(saved: SavedResult) -> dict:
    return json.loads((saved.folder / "result.json").read_text())


def test_several_expressions_are_found_together_and_everything_is_in_the_archive(
    model: Sa2VA, picture: Clip, tmp_path: Path
) -> None:
    progress = TaskProgress()
    saved = run_request(model, picture, wanted("segment", expressions=" the square \n\n the rest"), tmp_path, progress)
    said = result(saved)
    assert [one["phrase"] for one in said["objects"]] == ["the square", "the rest"]
    assert said["text"] == f"{SENTENCE}\n{SENTENCE}"
    assert "red</mark>" in progress.answers and "the rest" in progress.answers
    assert progress.frames == 1
    assert [one.areas_px for one in saved.objects] == [tuple(one["area_px"]) for one in said["objects"]]
    assert dict(saved.used) == {"longest answer": "2048 tokens"}
    with zipfile.ZipFile(saved.archive) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
    assert {f"frames-segment/{name}" for name in ("result.json", "overlay.png", "masks/002/00000.png")} <= names


def test_a_video_is_asked_and_the_settings_that_mattered_are_listed(model: Sa2VA, film: Clip, tmp_path: Path) -> None:
    progress = TaskProgress()
    saved = run_request(model, film, wanted("ask", question=" Please segment the square. "), tmp_path, progress)
    assert result(saved)["settings"]["prompts"] == ["Please segment the square."]
    assert progress.frames == 7 and (saved.folder / "overlay.mp4").exists()
    expected = {"key frames": "first-5", "propagation": "official", "longest answer": "2048 tokens"}
    assert dict(saved.used) == expected


def test_marks_are_followed_without_words(model: Sa2VA, film: Clip, tmp_path: Path) -> None:
    progress = TaskProgress()
    saved = run_request(model, film, wanted("track", marks="30,40@3\n10,20,50,60 100,80,0"), tmp_path, progress)
    assert [len(one.areas_px) for one in saved.objects] == [7, 7]
    assert any(saved.objects[0].areas_px)
    assert (progress.answers, saved.used) == ("", ())


def test_descriptions_with_and_without_masks(model: Sa2VA, picture: Clip, film: Clip) -> None:
    assert make_task(model, picture, wanted("describe")).prompts == ("<image>\nPlease describe the image in detail.",)
    assert make_task(model, film, wanted("describe")).prompts == ("<image>\nPlease describe the video in detail.",)
    assert make_task(model, film, wanted("describe", caption="grounded-caption")).kind == "grounded-caption"


@pytest.mark.parametrize(
    ("kind", "given", "problem"),
    [
        ("segment", {"expressions": " \n "}, "no expression"),
        ("ask", {"question": " "}, "no question"),
        ("track", {"marks": "\n"}, "no object is marked"),
        ("track", {"marks": "here"}, "object 1: 'here' is neither"),
        ("region", {"marks": ""}, "no object is marked"),
    ],
)
def test_errors_name_what_is_missing(
    model: Sa2VA, picture: Clip, kind: str, given: dict[str, str], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        make_task(model, picture, wanted(kind, **given))


def test_regions_are_for_pictures_and_for_families_that_take_them(
    model: Sa2VA, picture: Clip, film: Clip, tmp_path: Path
) -> None:
    marked = wanted("region", marks="10,20,50,60")
    with pytest.raises(InputError, match="not in a video"):
        make_task(model, film, marked)
    task = make_task(model, picture, marked)
    assert [int(region.sum()) for region in task.regions] == [40 * 40]
    assert not model.adapter.takes_regions
    with pytest.raises(InputError, match="never trained"):
        run_request(model, picture, marked, tmp_path, TaskProgress())
    assert list(tmp_path.iterdir()) == []


def test_regions_are_described_one_by_one(
    picture: Clip, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    checkpoint = write_speaking(tmp_path_factory.mktemp("model") / "internvl", "pocket-internvl")
    model, progress = Sa2VA.from_pretrained(checkpoint, device="cpu"), TaskProgress()
    assert model.adapter.takes_regions
    saved = run_request(model, picture, wanted("region", marks="10,20,50,60\n30,40 5,5,0"), tmp_path, progress)
    assert [one.text for one in saved.result.answers] == [SENTENCE] * 2
    assert "region1?" in progress.answers and "region2?" in progress.answers
    assert result(saved)["task"] == "region"


@pytest.mark.parametrize("kind", ["segment", "track"])
def test_work_ends_at_the_next_token_or_frame_and_leaves_nothing(
    model: Sa2VA, film: Clip, tmp_path: Path, kind: str
) -> None:
    ended = threading.Event()

    class Ending(TaskProgress):
        """Wants an end when the second frame is done."""

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "frames" and value == 2:
                ended.set()

    progress = Ending()
    with ended_by(ended), pytest.raises(StoppedError):
        run_request(model, film, wanted(kind, expressions="the square", marks="30,40"), tmp_path, progress)
    assert progress.frames == 2
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_answers_is_ended_between_two_tokens(model: Sa2VA, picture: Clip) -> None:
    ended = threading.Event()
    ended.set()
    with ended_by(ended), pytest.raises(StoppedError):
        model.generate_text(picture, ["What is it?"])
    with ended_by(ended), pytest.raises(StoppedError):  # frames before the marked one are followed backwards
        next(model.track(as_clip([next(picture.frames([0]))[1]] * 3), [[Mark(frame=2, points=((5, 5),))]]))


def test_a_preview_has_always_one_size_and_clicks_can_be_brought_to_that_of_the_frame(
    tmp_path: Path,
) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((300, 2560, 3), np.uint8))
    clip = open_clip(tmp_path / "wide.png")
    assert preview(clip, 0).shape == (150, 1280, 3)
    assert preview_scale(clip) == 0.5
    small = as_clip([np.zeros((20, 16, 3), np.uint8)])
    assert preview(small, 0).shape == (1280, 1024, 3) and preview_scale(small) == 64


def test_a_clip_is_described(picture: Clip, film: Clip) -> None:
    assert describe_clip(picture) == "120 × 90 pixels"
    assert describe_clip(film) == "120 × 90 pixels, 7 frames, 0.3 s"


def test_examples_are_made_where_none_are_given(tmp_path: Path) -> None:
    made = list(write_examples(tmp_path, None))
    assert [open_clip(one.file).count for one in made] == [1, 48]
    assert all(max(open_clip(one.thumbnail).height, open_clip(one.thumbnail).width) == 160 for one in made)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(MAX_EXAMPLES + 2):
        cv2.imwrite(str(folder / f"cat {number}.png"), np.full((30, 40, 3), 10 * number, np.uint8))
    (folder / "notes.txt").write_text("none of them")
    return folder


def test_given_examples_are_copied_and_broken_ones_are_errors(given: Path, tmp_path: Path) -> None:
    offered = list(write_examples(tmp_path / "out", given))
    assert [one.name for one in offered] == [f"cat {number}" for number in range(MAX_EXAMPLES)]
    assert all(one.file.parent == tmp_path / "out" for one in offered)
    (given / "a broken one.png").write_bytes(b"text")
    with pytest.raises(RecordError, match=r"a broken one.png"):
        list(write_examples(tmp_path / "out", given))
    with pytest.raises(RecordError, match="nowhere: cannot be listed"):
        list(write_examples(tmp_path / "out", tmp_path / "nowhere"))
