"""What we compute is what Sa2VA's official code computed, from tokens and pixels to masks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from refsav.model.media.clip import as_clip
from refsav.model.prediction import Masks
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.grounding import resized_logits
from refsav.model.sam.key_frames import key_frames
from refsav.model.sam.propagation import segment
from tests.support.models.reference import (
    CASES,
    FAMILIES,
    HEIGHT,
    WIDTH,
    Case,
    Reference,
    cases,
    sam_only_embedding,
    square_mask,
    video,
)
from tests.support.models.watching import Passed, watching

# Largest differences that are allowed. The references' own measurements say what mistakes they show: the nearest is
# 0.11 in mask logits, for temporal embeddings in the wrong order.
PIXELS = 1e-5
FEATURES = 1e-4
STATES = 1e-3
LOGITS = 2e-2
"""Those of masks, which the references store in float16: up to 4e-3 of it is their rounding."""
DECODER = 1e-3
SAME_PIXELS = 0.999
"""Fraction of a mask's pixels."""

VIDEOS = [*((family, "video_a") for family in FAMILIES), ("qwen3vl", "sam_only_video")]

pytestmark = [pytest.mark.full_size, pytest.mark.usefixtures("all_cores"), pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Object:
    """One `[SEG]`, as the public interface gives it."""

    hidden: Tensor | None
    projected: Tensor
    logits: Tensor
    """[T, 256, 256]."""
    masks: Masks


@dataclass(frozen=True)
class Ran:
    """A case from words to masks."""

    objects: list[Object]
    passed: Passed


RunCase = Callable[[str, str], Ran]


@pytest.fixture(scope="module")
def ran(reference_models: Callable[[str], Sa2VA]) -> RunCase:
    """Runs a case, once for all that is looked at in it."""

    @cache
    def run(family: str, name: str) -> Ran:
        model = reference_models(family)
        with watching(model) as passed:
            if name == "sam_only_video":
                return Ran([_sam_only(model)], passed)
            case = CASES[name]
            if case.regions:
                return Ran(_with_regions(model, case), passed)
            found = model.ground(case.frames, case.text, case.answer)
            return Ran([Object(o.seg_hidden, o.seg_projected, o.low_res_logits, o.masks) for o in found], passed)

    return run


def _sam_only(model: Sa2VA) -> Object:
    frames, embedding = video(), sam_only_embedding()
    clip = as_clip(frames)
    found = list(segment(model.sam2, clip, embedding, key_frames("first-5", clip.count), "official"))
    assert [one.index for one in found] == list(range(clip.count))
    logits = torch.stack([one.logits[0] for one in found])
    return Object(None, embedding[0], logits, model.full_size(logits, clip.height, clip.width))


def _with_regions(model: Sa2VA, case: Case) -> list[Object]:
    said = model.generate_text(case.frames, [case.text], answers=[case.answer], regions=case.regions)[0]
    assert said.text == case.answer
    (frame,) = model.segment(case.frames, said.seg_projected)
    masks = model.full_size(frame.logits, HEIGHT, WIDTH)
    parts = zip(said.seg_hidden, said.seg_projected, frame.logits, masks, strict=True)
    return [Object(hidden, projected, logits[None], mask[None]) for hidden, projected, logits, mask in parts]


def of_objects(reference: Reference, name: str) -> list[tuple[int, str]]:
    count = sum(key.startswith(f"{name}/seg") and key.endswith("/low_res_logits") for key in reference.golden)
    assert count
    return [(number, f"{name}/seg{number}/") for number in range(count)]


# ---- the language model ----


@pytest.mark.parametrize(("family", "name"), cases())
def test_prompts_are_the_same_tokens(
    references: dict[str, Reference],
    reference_models: Callable[[str], Sa2VA],
    ran: RunCase,
    family: str,
    name: str,
) -> None:
    case, adapter, reference = CASES[name], reference_models(family).adapter, references[family]
    (sight,) = ran(family, name).passed.sights
    prompt = adapter.write(case.text, sight)
    assert np.array_equal(prompt, reference.golden[f"{name}/prompt_ids"])
    whole = [*prompt, *adapter.answer_ids(case.answer)]
    assert np.array_equal(whole, reference.golden[f"{name}/full_ids"])
    assert np.array_equal(
        np.flatnonzero(np.asarray(whole) == adapter.seg_id), reference.golden[f"{name}/seg_positions"]
    )
    if family == "qwen3vl":
        assert np.array_equal(sight.grids, reference.golden[f"{name}/image_grid_thw"])
        assert np.array_equal(adapter.positions(whole, sight), reference.golden[f"{name}/mrope_position_ids"])


@pytest.mark.parametrize(("family", "name"), cases())
def test_the_vision_tower_is_given_the_same_pixels(
    references: dict[str, Reference], ran: RunCase, family: str, name: str
) -> None:
    reference = references[family]
    (pixels,) = ran(family, name).passed.pixels
    apart = (slice(None, None, 97), slice(None, None, 31))
    if family == "internvl":
        apart = (slice(None), slice(None), slice(None, None, 37), slice(None, None, 37))
    assert reference.difference(f"{name}/pixel_values_sub", pixels[apart]) <= PIXELS
    stats = [*pixels.shape, pixels.double().mean(), pixels.double().std()]
    assert reference.difference(f"{name}/pixel_values_stats", np.asarray(stats)) <= PIXELS


@pytest.mark.parametrize(("family", "name"), cases())
def test_the_vision_tower_sees_the_same(references: dict[str, Reference], ran: RunCase, family: str, name: str) -> None:
    reference, (sight,) = references[family], ran(family, name).passed.sights
    rows = sight.rows[: sum(sight.tokens_per_frame)]  # those of regions come after
    apart = 41 if family == "qwen3vl" else 101
    assert reference.difference(f"{name}/image_features_sub", rows[::apart]) <= FEATURES
    assert len(sight.deepstack) == (2 if family == "qwen3vl" else 0)
    for level, deep in enumerate(sight.deepstack):
        assert reference.difference(f"{name}/deepstack{level}_sub", deep[::apart]) <= FEATURES


@pytest.mark.parametrize(("family", "name"), cases())
def test_the_language_model_thinks_the_same(
    references: dict[str, Reference],
    reference_models: Callable[[str], Sa2VA],
    ran: RunCase,
    family: str,
    name: str,
) -> None:
    reference, passed = references[family], ran(family, name).passed
    (before,), (after,) = passed.before_norm, passed.after_norm
    places = torch.from_numpy(reference.golden[f"{name}/text_token_positions"])
    assert reference.difference(f"{name}/hidden_prenorm_text", before[0, places]) <= STATES
    assert reference.difference(f"{name}/hidden_postnorm_text", after[0, places]) <= STATES
    with torch.inference_mode():
        logits = reference_models(family).adapter.logits(after[0, -1])
    assert reference.difference(f"{name}/last_logits", logits) <= STATES
    objects = ran(family, name).objects
    hidden = torch.stack([one.hidden for one in objects if one.hidden is not None])
    assert reference.difference(f"{name}/seg_hidden", hidden) <= STATES
    projected = torch.stack([one.projected for one in objects])
    assert reference.difference(f"{name}/seg_projected", projected) <= STATES


# ---- SAM-2 ----


def test_sam2_is_given_the_same_pixels(
    references: dict[str, Reference], reference_models: Callable[[str], Sa2VA]
) -> None:
    for family, name in (*VIDEOS, *((family, "image_a") for family in FAMILIES)):
        frame = video()[0] if "video" in name else CASES[name].frames[0]
        pixels = reference_models(family).sam2.pixels(frame)[0, :, ::32, ::32]
        assert references[family].difference(f"{name}/sam_pixels_frame0_stride32", pixels) <= PIXELS


@pytest.mark.parametrize(("family", "name"), [*((family, "image_a") for family in FAMILIES), *VIDEOS])
def test_sam2_sees_the_same_in_the_first_frame(
    references: dict[str, Reference],
    reference_models: Callable[[str], Sa2VA],
    ran: RunCase,
    family: str,
    name: str,
) -> None:
    reference, passed = references[family], ran(family, name).passed
    features = passed.sam2_features[0]
    with torch.inference_mode():
        levels = [*reference_models(family).sam2.high_resolution(features), features.coarse]
    for number, level in enumerate(levels):
        apart = level.shape[-1] // 16
        assert reference.difference(f"{name}/fpn{number}_frame0_sub", level[0, ::8, ::apart, ::apart]) <= FEATURES
    assert reference.difference(f"{name}/sparse_prompt_frame0", passed.sparse_prompts[0]) == 0


@pytest.mark.parametrize(("family", "name"), [*cases(), ("qwen3vl", "sam_only_video")])
def test_masks_are_the_same(references: dict[str, Reference], ran: RunCase, family: str, name: str) -> None:
    reference, objects = references[family], ran(family, name).objects
    found = of_objects(reference, name)
    assert len(objects) == len(found)
    for number, prefix in found:
        one = objects[number]
        assert reference.difference(f"{prefix}low_res_logits", one.logits[:, None]) <= LOGITS
        whole = torch.cat([resized_logits(low[None], [(1024, 1024), (HEIGHT, WIDTH)]) for low in one.logits])
        assert reference.difference(f"{prefix}mask_logits_orig", whole) <= LOGITS
        if f"{prefix}masks_packed" in reference.golden:
            fewest = same_pixels(one.masks, reference.golden[f"{prefix}masks_packed"]).min()
            print(f"{family} {prefix}masks: {fewest:.4%} of the pixels are the same")
            assert fewest >= SAME_PIXELS
        else:  # nothing packed is kept of SAM-2 alone
            ours, theirs = reference.both(f"{prefix}mask_logits_orig", one.masks)
            assert (ours == (theirs > 0)).mean() >= SAME_PIXELS


def same_pixels(masks: Masks, packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Fraction of equal pixels in each frame."""
    theirs = np.unpackbits(packed, axis=-1, count=masks.shape[-1]).astype(bool)
    assert theirs.shape == masks.shape
    assert 0.01 < theirs.mean() < 0.99  # a mask that differs from an empty one
    return np.asarray((masks == theirs).mean(axis=(1, 2)))


@pytest.mark.parametrize(("family", "name"), [*cases(), ("qwen3vl", "sam_only_video")])
def test_the_mask_decoder_says_the_same(references: dict[str, Reference], ran: RunCase, family: str, name: str) -> None:
    reference, decoded = references[family], ran(family, name).passed.decoded
    for number, prefix in of_objects(reference, name):
        assert reference.difference(f"{prefix}ious", torch.stack([one.ious[number] for one in decoded])) <= DECODER
        scores = torch.stack([one.score[number] for one in decoded])
        assert reference.difference(f"{prefix}object_score_logits", scores) <= DECODER
        pointers = torch.stack([one.pointer[number] for one in decoded])
        assert reference.difference(f"{prefix}obj_ptr", pointers) <= DECODER


@pytest.mark.parametrize(("family", "name"), VIDEOS)
def test_sam2_remembers_the_same(references: dict[str, Reference], ran: RunCase, family: str, name: str) -> None:
    reference, passed = references[family], ran(family, name).passed
    memory = passed.memories[0][0, ::4, ::8, ::8]
    assert reference.difference(f"{name}/memory_frame0_sub", memory) <= FEATURES
    assert len(passed.memory_tokens) == 3  # frames 5 to 7
    for number, tokens in enumerate(passed.memory_tokens):
        assert np.array_equal(tokens, reference.golden[f"{name}/memory_tokens_{number}"])
        grid = passed.memory_attention[number][:, 0].unflatten(0, (64, 64))[::8, ::8, ::8]
        assert reference.difference(f"{name}/memory_attention_{number}_sub", grid) <= DECODER


def test_a_marked_region_is_also_described_in_words(references: dict[str, Reference]) -> None:
    """The reference of visual prompts has regions of 20 and 236 cells, as the prompt says."""
    ids = references["internvl"].golden["image_vp/prompt_ids"]
    plain = references["internvl"].golden["image_a/prompt_ids"]
    placeholder = np.bincount(plain).argmax()
    assert (ids == placeholder).sum() - (plain == placeholder).sum() == 20 + 236
    assert square_mask(2).sum() / square_mask(2).size == pytest.approx(20 / 256, abs=0.02)
