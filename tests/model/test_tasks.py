"""Every task, in memory and into a folder, on real video, with a small model that says "Sure, it is … [SEG]."."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.commands.predict import predict
from refsav.datasets.frames import Image, decode, probe
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import Rle
from refsav.errors import RefSavError
from refsav.model import tasks
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.media.clip import as_clip, open_clip
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.point_prompts import Mark
from tests.support.models.speaking import SENTENCE, write_speaking

FRAMES = 12
PHRASE = "red"
QUICK = InferenceSettings(new_tokens=16)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speaking(tmp_path_factory.mktemp("speaking") / "checkpoint")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Sa2VA:
    return Sa2VA.from_pretrained(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def real_video(sav_data: Path) -> Path:
    return sav_data / "vos_000001.mp4"


@pytest.fixture(scope="module")
def frames(real_video: Path) -> list[Image]:
    return [frame for _, frame in decode(real_video, range(FRAMES))]


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_a_prompt_is_answered_in_words_with_a_mask_for_every_seg(model: Sa2VA, frames: list[Image]) -> None:
    found = model.predict(frames, "Where is it?", settings=QUICK)
    assert found.text == SENTENCE
    assert found.complete
    segment = found.segments[0]
    assert segment.phrase == PHRASE
    assert segment.masks.shape == (FRAMES, *frames[0].shape[:2])
    assert segment.masks.dtype == np.bool_
    assert segment.low_res_logits.shape == (FRAMES, 32, 32)
    assert found.settings["propagation"] == "official"
    assert found.settings["key_frames"] == "first-5"


def test_several_expressions_in_one_call_are_as_one_call_each(model: Sa2VA, frames: list[Image]) -> None:
    asked = ["Where is the camel?", "Which is the fence behind it?", "What?"]
    together = model.predict_all(frames, asked, settings=QUICK)
    for prompt, one in zip(asked, together, strict=True):
        alone = model.predict(frames, prompt, settings=QUICK)
        assert (one.segments[0].low_res_logits - alone.segments[0].low_res_logits).abs().max() < 2e-2
        assert (one.segments[0].masks == alone.segments[0].masks).mean() > 0.999


@pytest.mark.parametrize("propagation", ["official", "none"])
@pytest.mark.parametrize("rule", ["first-5", "uniform-3", "all", "2,7"])
def test_every_rule_of_key_frames_gives_every_frame_a_mask(
    model: Sa2VA, frames: list[Image], rule: str, propagation: str
) -> None:
    settings = InferenceSettings(key_frames=rule, propagation=propagation, new_tokens=16)
    found = model.predict(frames, "Where is it?", settings=settings)
    assert len(found.segments[0].masks) == FRAMES
    assert found.settings["key_frames"] == rule


def test_consistent_propagation_without_the_original_decoder_says_what_to_give(
    model: Sa2VA, frames: list[Image]
) -> None:
    with pytest.raises(InputError, match=r"sam2_hiera_large\.pt"):
        model.predict(frames, "it", settings=InferenceSettings(propagation="consistent", new_tokens=16))


def test_segmenting_a_real_video_leaves_a_film_in_step_with_its_frames(
    model: Sa2VA, real_video: Path, tmp_path: Path
) -> None:
    clip = open_clip(real_video)
    task = tasks.segment("the camel", "the fence", video=True)
    shares: list[int] = []
    done = tasks.run_to_folder(model, clip, task, tmp_path / "out", settings=QUICK, on_progress=shares.append)
    result = result_of(tmp_path / "out")
    assert [one["phrase"] for one in result["objects"]] == ["the camel", "the fence"]
    assert done.object_count == 2
    assert shares == list(range(1, clip.count + 1))
    assert probe(tmp_path / "out/overlay.mp4").frame_count == clip.count == len(result["objects"][0]["masks"])
    drawn = dict(decode(tmp_path / "out/overlay.mp4", [0, clip.count - 1]))
    given = dict(decode(real_video, [0, clip.count - 1]))
    for index, frame in drawn.items():  # overlays change some of a frame, another frame would change nearly all
        other = given[clip.count - 1 - index]
        assert np.abs(frame.astype(int) - given[index]).mean() < np.abs(frame.astype(int) - other).mean()
    rle = result["objects"][0]["masks"][3]
    written = cv2.imread(str(tmp_path / "out/masks/001/00003.png"), cv2.IMREAD_GRAYSCALE) > 0
    encoded = decode_mask(Rle(tuple(rle["size"]), rle["counts"])) if rle else np.zeros_like(written)
    np.testing.assert_array_equal(encoded, written)


def test_streamed_from_a_file_equals_frames_in_memory(model: Sa2VA, real_video: Path) -> None:
    clip = open_clip(real_video)
    frames = [frame for _, frame in clip.frames(range(clip.count))]
    streamed = model.predict(clip, "Where is it?", settings=QUICK).segments[0]
    held = model.predict(frames, "Where is it?", settings=QUICK).segments[0]
    np.testing.assert_array_equal(streamed.masks, held.masks)


def test_an_answer_without_seg_has_no_mask(tmp_path: Path, frames: list[Image]) -> None:
    quiet = Sa2VA.from_pretrained(write_speaking(tmp_path / "quiet", sentence="No such."), device="cpu")
    found = quiet.predict(frames, "Where is it?", settings=QUICK)
    assert (found.text, found.segments) == ("No such.", ())
    done = tasks.run_to_folder(quiet, as_clip(frames), tasks.caption(video=True), tmp_path / "out", settings=QUICK)
    assert done.object_count == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]
    assert result_of(tmp_path / "out")["text"] == "No such."


def test_a_given_answer_without_seg_is_grounded_in_nothing(model: Sa2VA, frames: list[Image]) -> None:
    assert model.ground(frames[:1], "What is it?", "Sure.") == []


def test_an_answer_cut_at_the_limit_says_so_and_its_last_seg_has_no_mask(model: Sa2VA, frames: list[Image]) -> None:
    before = SENTENCE.removesuffix(".")
    limit = len(model.adapter.tokenizer.encode(before, add_special_tokens=False))
    found = model.predict(frames[:1], "Where is it?", settings=InferenceSettings(new_tokens=limit))
    assert found.text == before
    assert (found.complete, found.segments) == (False, ())


def test_marked_objects_are_followed_into_a_folder(model: Sa2VA, frames: list[Image], tmp_path: Path) -> None:
    objects = [[Mark(points=((300, 160),))], [Mark(frame=3, box=(100, 50, 400, 300))]]
    done = tasks.run_to_folder(model, as_clip(frames), tasks.track(objects), tmp_path / "out", settings=QUICK)
    result = result_of(tmp_path / "out")
    assert done.object_count == 2
    assert [one["phrase"] for one in result["objects"]] == ["object 1", "object 2"]
    assert result["text"] == ""
    assert result["settings"] == {"mask_decoder": "fine-tuned", "objects_at_once": QUICK.objects_at_once}


def test_regions_of_a_family_without_visual_prompts_are_refused(model: Sa2VA, frames: list[Image]) -> None:
    region = np.zeros(frames[0].shape[:2], np.bool_)
    region[50:100, 50:100] = True
    with pytest.raises(InputError, match="takes no visual prompts"):
        model.predict(frames[:1], "What is region1?", regions=[region], settings=QUICK)


def test_regions_stand_for_boxes_and_for_what_sam2_finds_at_points(model: Sa2VA, frames: list[Image]) -> None:
    box, point = tasks.regions_of(
        model, frames[:1], [Mark(box=(10, 20, 30, 40)), Mark(points=((300, 160),), on_object=(True,))]
    )
    assert box.sum() == 20 * 20
    assert box[20:40, 10:30].all()
    assert point.any()


@pytest.mark.parametrize(
    ("picture", "size"),
    [(np.zeros((1, 1, 3), np.uint8), (1, 1)), (np.zeros((40, 60), np.uint8), (40, 60))],
    ids=["one pixel", "grey"],
)
def test_unusual_pictures_get_masks_of_their_size(model: Sa2VA, picture: Image, size: tuple[int, int]) -> None:
    assert model.predict([picture], "Where is it?", settings=QUICK).segments[0].masks.shape == (1, *size)


@pytest.mark.parametrize(
    ("picture", "prompt", "problem"),
    [
        (np.zeros((2, 600, 3), np.uint8), "it", "aspect ratio of more than 200"),
        (np.zeros((60, 60, 3), np.uint8), "<image> and <image>", "<image> 2 times"),
        (np.zeros((60, 60, 3), np.uint8), "it " * 40_000, "the model's context"),
        (np.zeros((60, 60, 3), np.uint8), "<|image_pad|>", "image features"),
    ],
    ids=["long and thin", "two images", "past the context", "a placeholder in the text"],
)
def test_what_cannot_be_asked_is_refused(model: Sa2VA, picture: Image, prompt: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        model.predict([picture], prompt, settings=QUICK)


def run_command(checkpoint: Path, source: Path, *texts: str, **options: object) -> None:
    usual = {"task": None, "marks": [], "masks": [], "folder": None, "device": "cpu", "dtype": None}
    usual |= {"original_sam2": None, "allow_pickle": False, "overrides": {"new_tokens": 16}}
    predict(checkpoint, source, list(texts), **{**usual, **options})


def test_the_command_prints_the_answer_and_where_the_result_is(
    checkpoint: Path, frames: list[Image], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "camel.png"
    cv2.imwrite(str(picture), cv2.cvtColor(frames[0], cv2.COLOR_RGB2BGR))
    run_command(checkpoint, picture, "Where is it?", folder=tmp_path / "out")
    printed = capsys.readouterr().out
    assert SENTENCE in printed
    assert "masks: 1 x 1 frame" in printed
    assert str(tmp_path / "out/overlay.png") in printed
    assert (tmp_path / "out/overlay.png").is_file()


@pytest.mark.parametrize(
    ("texts", "options", "problem"),
    [
        ((), {"task": "segment"}, "needs a text"),
        ((), {"task": "track"}, "needs marks"),
        ((), {"task": "region"}, "needs regions"),
        ((" ",), {}, "a text is empty"),
        (("it",), {"masks": [Path("mask.png")]}, "--mask is for --task region"),
        ((), {"marks": ["nonsense"]}, "neither a point nor a box"),
        (("it",), {"overrides": {"key_frames": "sometimes"}}, "no rule for key frames"),
        (("it",), {"overrides": {"propagation": "best"}}, "propagation"),
        (("it",), {"dtype": "float8"}, "not a type of weights"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    checkpoint: Path, frames: list[Image], tmp_path: Path, texts: tuple[str, ...], options: dict, problem: str
) -> None:
    picture = tmp_path / "camel.png"
    cv2.imwrite(str(picture), frames[0])
    with pytest.raises(RefSavError, match=problem):
        run_command(checkpoint, picture, *texts, folder=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_regions_are_described_by_a_family_with_visual_prompts(frames: list[Image], tmp_path: Path) -> None:
    config = ModelConfig.from_toml(Path(__file__).parents[2] / "configs/models/pocket-internvl.toml")
    intern = create(config, usual_tokenizer(config))
    regions = tasks.regions_of(intern, frames[:1], [Mark(box=(100, 50, 400, 300)), Mark(box=(0, 0, 2, 2))])
    task = tasks.describe_regions(regions)
    done = tasks.run_to_folder(
        intern, as_clip(frames[:1]), task, tmp_path / "out", settings=InferenceSettings(new_tokens=4)
    )
    assert len(done.answers) == 2
    assert result_of(tmp_path / "out")["task"] == "region"
    with pytest.raises(InputError, match="mark them in an image"):
        intern.predict(frames, "What is region1?", regions=regions)
