"""Together or one by one, from a file or from memory, forwards or backwards: the same words and masks."""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from refsav.datasets.frames import Image
from refsav.model.inference_settings import InferenceSettings, Propagation
from refsav.model.input_errors import InputError
from refsav.model.language.generate import answer
from refsav.model.media.clip import as_clip, open_clip
from refsav.model.prediction import Prediction
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.grounding import Decoded, FrameFeatures, Sam2
from refsav.model.sam.key_frames import key_frames
from refsav.model.sam.propagation import segment
from refsav.model.sam.tracker import Tracks
from tests.support.models.reference import FAMILIES, image, square_mask, video

STATES = 1e-3
LOGITS = 2e-2
SAME_PIXELS = 0.999
"""The same bars as against the official code."""

PROPAGATIONS: tuple[Propagation, ...] = ("official", "consistent", "none")

PROMPTS = (
    "<image>\nPlease segment the bright square in this video.",
    "Describe it.",
    "<image>\nIs there, perhaps, something that moves to the right and a little down from frame to frame?",
    "Which [SEG] do I mean?",
)
ANSWERS = (
    "Sure, [SEG].",
    "A square on dark ground.",
    "<p> A square </p> [SEG] above <p> the ground </p> [SEG], and <p> noise </p> [SEG].",
    "[SEG]",
)


# ---- words ----


@pytest.mark.parametrize("family", FAMILIES)
def test_given_answers_have_the_same_embeddings_together_in_groups_and_alone(
    pocket_models: Callable[[str], Sa2VA], family: str
) -> None:
    model, threes = pocket_models(family), InferenceSettings(prompts_at_once=3)
    together = model.generate_text(video(), PROMPTS, answers=ANSWERS)
    in_groups = model.generate_text(video(), PROMPTS, answers=ANSWERS, settings=threes)
    in_prompt = 1 if family == "qwen3vl" else 0  # where a [SEG] of the user's counts
    assert [len(one.seg_hidden) for one in together] == [1, 0, 3, 1 + in_prompt]
    for one, other, prompt, said in zip(together, in_groups, PROMPTS, ANSWERS, strict=True):
        (alone,) = model.generate_text(video(), [prompt], answers=[said])
        for found in (one, other):
            assert (found.prompt, found.text, found.phrases, found.complete) == (prompt, said, alone.phrases, True)
            assert found.seg_hidden.shape == alone.seg_hidden.shape
            assert torch.allclose(found.seg_hidden, alone.seg_hidden, atol=STATES, rtol=0)
            assert torch.allclose(found.seg_projected, alone.seg_projected, atol=STATES, rtol=0)
    assert together[2].phrases == ("A square", "the ground", "noise")


@pytest.mark.parametrize("place", ["{}<image>", "<image>{}"])
def test_prompts_that_begin_differently_are_read_together_too(
    pocket_models: Callable[[str], Sa2VA], place: str
) -> None:
    """InternVL leaves images where the user wrote `<image>`; what comes before may differ or be [SEG] itself."""
    model = pocket_models("internvl")
    prompts = [place.format(words) for words in ("Here is [SEG]: ", "See ", "What do you think of this one? ")]
    together = model.generate_text(video()[:2], prompts, answers=["[SEG] [SEG]"] * 3)
    for one, prompt in zip(together, prompts, strict=True):
        (alone,) = model.generate_text(video()[:2], [prompt], answers=["[SEG] [SEG]"])
        assert len(alone.seg_hidden) == 2
        assert (one.seg_hidden - alone.seg_hidden).abs().max() <= STATES


LOUDER = {"qwen3vl": (4.0, 3.0), "internvl": (4.0, 6.0)}
"""Factors of the head's rows for [SEG] and for the end of a turn: a random model says neither."""


@pytest.fixture(scope="module")
def talkers(pocket_checkpoints: Callable[[str], Path]) -> dict[str, Sa2VA]:
    """Models that say [SEG] now and then, and stop sooner or later."""

    def talker(family: str) -> Sa2VA:
        model = Sa2VA.from_pretrained(pocket_checkpoints(family), device="cpu")
        with torch.no_grad():
            for token, factor in zip((model.adapter.seg_id, model.adapter.stop_ids[0]), LOUDER[family], strict=True):
                model.mllm.lm_head.weight[token] *= factor
        return model

    return {family: talker(family) for family in FAMILIES}


ASKED = [f"Please segment {words}." for words in ("it", "the square that moves", "noise, and", "dark ground")]


def same(one: Prediction, other: Prediction) -> None:
    assert (one.text, one.complete, len(one.segments)) == (other.text, other.complete, len(other.segments))
    for ours, theirs in zip(one.segments, other.segments, strict=True):
        assert ours.phrase == theirs.phrase
        assert (ours.seg_hidden - theirs.seg_hidden).abs().max() <= STATES
        assert (ours.low_res_logits - theirs.low_res_logits).abs().max() <= LOGITS
        assert (ours.masks == theirs.masks).mean() >= SAME_PIXELS


@pytest.mark.parametrize("family", FAMILIES)
def test_generated_answers_and_their_masks_are_the_same_together_and_alone(
    talkers: dict[str, Sa2VA], family: str
) -> None:
    model, settings = talkers[family], InferenceSettings(new_tokens=24)
    together = model.predict_all(video(), ASKED, settings=settings)
    assert len({len(one.text) for one in together}) > 1  # answers of different length
    assert {one.complete for one in together} == {True, False}
    assert sum(len(one.segments) for one in together) > 1
    for prompt, one in zip(ASKED, together, strict=True):
        same(one, model.predict(video(), prompt, settings=settings))


@pytest.mark.parametrize("family", FAMILIES)
def test_states_collected_step_by_step_are_those_of_one_pass(talkers: dict[str, Sa2VA], family: str) -> None:
    mllm = talkers[family].adapter
    with torch.inference_mode():
        sight = mllm.encode_frames(video()[:5], ())
    prompts = [mllm.write(prompt, sight) for prompt in ASKED]
    generated = answer(mllm, sight, prompts, new_tokens=24)
    given = answer(mllm, sight, prompts, given=[one.ids for one in generated])
    for one, other in zip(generated, given, strict=True):
        # the state at a [SEG] that the limit has made the last token is not known while generating
        dropped = 0 if one.complete else int(one.ids[-1] == mllm.seg_id)
        assert len(one.seg_states) == len(other.seg_states) - dropped == one.ids.count(mllm.seg_id) - dropped
        assert torch.allclose(one.seg_states, other.seg_states[: len(one.seg_states)], atol=STATES, rtol=0)
    assert sum(len(one.seg_states) for one in generated) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seg_that_comes_last_gives_no_mask(talkers: dict[str, Sa2VA], family: str) -> None:
    """As in the released code: its state would only be known after one more step."""
    mllm = talkers[family].adapter
    with torch.inference_mode():
        sight = mllm.encode_frames([image()], ())
    prompt = [mllm.write(ASKED[0], sight)]
    for dictated, states in (([mllm.seg_id], 0), ([mllm.seg_id, mllm.stop_ids[0]], 1)):
        (said,) = answer(mllm, sight, prompt, dictated=dictated, new_tokens=len(dictated))
        assert (list(said.ids), len(said.seg_states)) == (dictated, states)


def test_regions_are_the_same_for_every_prompt(pocket_models: Callable[[str], Sa2VA]) -> None:
    model, regions = pocket_models("internvl"), [square_mask(2), ~square_mask(2)]
    prompts = ["<image>\nPlease segment region1.", "<image>\nWhat is region2, and where?"]
    together = model.generate_text([image()], prompts, answers=["[SEG]"] * 2, regions=regions)
    for one, prompt in zip(together, prompts, strict=True):
        (alone,) = model.generate_text([image()], [prompt], answers=["[SEG]"], regions=regions)
        (unmarked,) = model.generate_text([image()], [prompt], answers=["[SEG]"])
        assert (one.seg_hidden - alone.seg_hidden).abs().max() <= STATES
        assert (one.seg_hidden - unmarked.seg_hidden).abs().max() > 10 * STATES


# ---- masks ----


@pytest.fixture
def sam2(pocket_models: Callable[[str], Sa2VA]) -> Sam2:
    return pocket_models("internvl").sam2


@pytest.fixture
def language(sam2: Sam2) -> Tensor:
    """[8, C]."""
    drawn = 3 * np.random.RandomState(5).standard_normal((8, sam2.config.d_model))
    return torch.from_numpy(drawn.astype(np.float32))


def logits_of(
    sam2: Sam2, frames: Sequence[Image], language: Tensor, rule: str, propagation: Propagation, at_once: int = 16
) -> Tensor:
    """[T, B, 32, 32]."""
    clip = as_clip(frames)
    keys = key_frames(rule, clip.count)
    found = list(segment(sam2, clip, language, keys, propagation, objects_at_once=at_once))
    assert [one.index for one in found] == list(range(clip.count))
    return torch.stack([one.logits for one in found])


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_objects_are_followed_the_same_together_and_alone(
    sam2: Sam2, language: Tensor, propagation: Propagation
) -> None:
    together = logits_of(sam2, video(), language, "0,3", propagation)
    assert together.shape == (8, 8, 32, 32)
    assert together.std(dim=1).mean() > 0.1  # every object has a mask of its own
    for number in range(len(language)):
        alone = logits_of(sam2, video(), language[number : number + 1], "0,3", propagation)
        assert (together[:, number] - alone[:, 0]).abs().max() <= LOGITS
        assert ((together[:, number] > 0) == (alone[:, 0] > 0)).float().mean() >= SAME_PIXELS


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_groups_of_objects_change_nothing_and_encode_no_frame_twice(
    sam2: Sam2, language: Tensor, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    together = logits_of(sam2, video(), language, "first-2", "official")
    encode, encoded = sam2.encode, []

    def counted(frame: Image) -> FrameFeatures:
        encoded.append(frame.tobytes())
        return encode(frame)

    most = 0

    def watched(self: Sam2, features: FrameFeatures, words: Tensor) -> Decoded:
        nonlocal most
        most = max(most, len(words))
        return Sam2.decode(self, features, words)

    monkeypatch.setattr(sam2, "encode", counted)
    monkeypatch.setattr(sam2, "decode", lambda features, words: watched(sam2, features, words))
    in_groups = logits_of(sam2, video(), language, "first-2", "official", at_once)
    assert (together - in_groups).abs().max() <= LOGITS
    assert most == at_once
    assert len(encoded) == len(set(encoded)) == 8


def test_a_model_follows_in_the_groups_that_settings_ask_for(pocket_models: Callable[[str], Sa2VA]) -> None:
    model = pocket_models("internvl")
    said = " ".join(["[SEG]"] * 5)
    together = model.ground(video(), "Please segment all.", said)
    few = model.ground(video(), "Please segment all.", said, settings=InferenceSettings(objects_at_once=2))
    assert len(together) == len(few) == 5
    for one, other in zip(together, few, strict=True):
        assert (one.low_res_logits - other.low_res_logits).abs().max() <= LOGITS
        assert (one.masks == other.masks).mean() >= SAME_PIXELS


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_a_video_file_gives_the_masks_of_its_frames_in_memory(
    sam2: Sam2, language: Tensor, tmp_path: Path, propagation: Propagation
) -> None:
    clip = open_clip(write_video(tmp_path / "square.mp4", video()))
    frames = [frame.copy() for _, frame in clip.frames(range(clip.count))]
    for rule in ("uniform-3", "4"):
        keys = key_frames(rule, clip.count)
        streamed = torch.stack([one.logits for one in segment(sam2, clip, language[:2], keys, propagation)])
        assert torch.equal(streamed, logits_of(sam2, frames, language[:2], rule, propagation))


def test_a_video_file_gives_the_answer_of_its_frames_in_memory(
    pocket_models: Callable[[str], Sa2VA], tmp_path: Path
) -> None:
    clip = open_clip(write_video(tmp_path / "square.mp4", video()))
    frames = [frame.copy() for _, frame in clip.frames(range(clip.count))]
    (streamed,) = pocket_models("qwen3vl").ground(clip, PROMPTS[0], ANSWERS[0])
    (held,) = pocket_models("qwen3vl").ground(frames, PROMPTS[0], ANSWERS[0])
    assert torch.equal(streamed.low_res_logits, held.low_res_logits)
    assert np.array_equal(streamed.masks, held.masks)
    assert streamed.masks.shape == (8, 96, 128)


def write_video(path: Path, frames: Sequence[Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"g": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


# ---- time ----


@pytest.mark.parametrize("propagation", ["official", "consistent"])
@pytest.mark.parametrize("rule", ["7", "3", "2,3,4"])
def test_frames_before_the_first_key_frame_are_followed_backwards(
    sam2: Sam2, language: Tensor, propagation: Propagation, rule: str
) -> None:
    """As they would be forwards in the video played backwards, from the key frames on."""
    frames = video()
    found = logits_of(sam2, frames, language[:3], rule, propagation)
    keys = key_frames(rule, len(frames))
    mirrored = ",".join(str(len(frames) - 1 - key) for key in keys)
    backwards = logits_of(sam2, frames[::-1], language[:3], mirrored, propagation).flip(0)
    assert (found[: keys[0] + 1] - backwards[: keys[0] + 1]).abs().max() <= LOGITS
    forwards = logits_of(sam2, frames[keys[0] :], language[:3], ",".join(str(k - keys[0]) for k in keys), propagation)
    assert (found[keys[0] :] - forwards).abs().max() <= LOGITS


@pytest.mark.parametrize("rule", ["all", "first-8", "0,1,2,3,4,5,6,7"])
def test_where_all_frames_are_key_frames_memory_takes_no_part(sam2: Sam2, language: Tensor, rule: str) -> None:
    frames = video()
    alone = torch.cat([logits_of(sam2, [frame], language, "first-1", "official") for frame in frames])
    for propagation in PROPAGATIONS:
        assert torch.equal(logits_of(sam2, frames, language, rule, propagation), alone)
    assert torch.equal(logits_of(sam2, frames, language, "first-2", "none"), alone)


@pytest.mark.parametrize(("propagation", "rule"), [("official", "0,20"), ("consistent", "22")])
def test_what_is_forgotten_would_not_have_been_looked_at(
    sam2: Sam2, language: Tensor, monkeypatch: pytest.MonkeyPatch, propagation: Propagation, rule: str
) -> None:
    frames = [np.roll(video()[number % 8], 3 * number, axis=1) for number in range(24)]
    found = logits_of(sam2, frames, language[:2], rule, propagation)
    most = 0
    forget = Tracks._forget

    def watched(self: Tracks, index: int) -> None:
        nonlocal most
        forget(self, index)
        most = max(most, len(self._remembered["non_cond_frame_outputs"]))

    monkeypatch.setattr(Tracks, "_forget", watched)
    assert torch.equal(found, logits_of(sam2, frames, language[:2], rule, propagation))
    assert most == 15  # pointers, the memories of six of them
    monkeypatch.setattr(Tracks, "_forget", lambda self, index: None)  # noqa: ARG005
    assert torch.equal(found, logits_of(sam2, frames, language[:2], rule, propagation))


# ---- refusals ----


def test_a_prompt_longer_than_the_context_is_refused(pocket_models: Callable[[str], Sa2VA]) -> None:
    with pytest.raises(InputError, match="context"):
        pocket_models("internvl").generate_text([image()], ["Segment " + "it, " * 20_000])


def test_tokens_that_stand_for_images_are_refused_in_a_text(pocket_models: Callable[[str], Sa2VA]) -> None:
    for family, token in (("qwen3vl", "<|image_pad|>"), ("internvl", "<IMG_CONTEXT>")):
        with pytest.raises(InputError, match="remove tokens that stand for images from the text"):
            pocket_models(family).generate_text([image()], [f"Segment {token}."])


def test_regions_need_one_image_and_a_family_that_knows_them(pocket_models: Callable[[str], Sa2VA]) -> None:
    with pytest.raises(InputError, match="regions are marked in a video"):
        pocket_models("internvl").generate_text(video(), ["What is region1?"], regions=[square_mask(0)])
    with pytest.raises(InputError, match="Qwen3-VL takes no visual prompts"):
        pocket_models("qwen3vl").generate_text([image()], ["What is region1?"], regions=[square_mask(2)])


def test_consistent_propagation_needs_the_original_decoder(pocket_models: Callable[[str], Sa2VA]) -> None:
    settings = InferenceSettings(propagation="consistent")
    with pytest.raises(InputError, match="needs SAM-2's original mask decoder"):
        pocket_models("internvl").ground(video(), PROMPTS[0], ANSWERS[0], settings=settings)
