"""A SAM-2 of pocket size with random weights, and the `sam2` package's own video predictor with the same ones."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from hydra.utils import instantiate
from sam2.sam2_video_predictor import SAM2VideoPredictor

from refsav.datasets.frames import Image
from refsav.model.sam.config import Sam2Config
from refsav.model.sam.grounding import Sam2

SMALL = Sam2Config(
    image_size=128,
    embed_dim=24,
    num_heads=1,
    stages=(1, 1, 2, 1),
    global_att_blocks=(3,),
    window_spec=(8, 4, 8, 4),
    d_model=128,
    memory_feedforward=256,
    memory_layers=2,
    layer_scale=0.1,
)


def small_sam2(seed: int = 0) -> Sam2:
    """Random weights that make attention and prompts matter: larger than the usual ones."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Sam2.build(SMALL)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.dim() > 1 and "pos_embed" not in name:
                    weight.normal_(0, 1.4 / weight[0].numel() ** 0.5)
    return model


def own_predictor(model: Sam2, frames: Sequence[Image]) -> tuple[SAM2VideoPredictor, dict[str, Any]]:
    """SAM-2's own video predictor with this model's weights, and its state for these frames as we prepare them."""
    settings = {**model.config.packaged_settings(), "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor"}
    predictor = instantiate(settings, _recursive_=True, fill_hole_area=0).eval()
    predictor.load_state_dict(model.state_dict())
    predictor.sam_mask_decoder.dynamic_multimask_via_stability = True
    pixels = torch.cat([model.pixels(frame) for frame in frames])
    height, width = frames[0].shape[:2]
    loaded = (pixels, height, width)
    with patch("sam2.sam2_video_predictor.load_video_frames", lambda **_: loaded):
        state = predictor.init_state("")
    return predictor, state
