"""bfloat16 beside float32."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from refsav.model.inference_settings import InferenceSettings
from refsav.model.sa2va import Sa2VA
from tests.support.models.reference import FAMILIES, video

SETTINGS = InferenceSettings(key_frames="first-2", propagation="official")


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_draws_nearly_the_masks_of_float32(
    family: str, pocket_checkpoints: Callable[[str], Path], pocket_models: Callable[[str], Sa2VA]
) -> None:
    frames, asked = video()[:4], ("Please segment the ring.", "It is [SEG].")
    whole = pocket_models(family).ground(frames, *asked, settings=SETTINGS)[0]
    model = Sa2VA.from_pretrained(pocket_checkpoints(family), device="cpu", dtype="bfloat16")
    assert next(model.mllm.parameters()).dtype == torch.bfloat16
    half = model.ground(frames, *asked, settings=SETTINGS)[0]
    assert half.low_res_logits.dtype == torch.float32
    assert torch.cosine_similarity(half.seg_hidden, whole.seg_hidden, dim=0) > 0.99
    assert (half.masks == whole.masks).mean() > 0.98
