"""Adapters of Qwen2.5-VL and Qwen3-VL: each frame is one image; the placeholders of all frames precede the text.

Source: Sa2VA's official code, `Sa2VAChatModelQwen`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from transformers import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.families.bicubic import resize
from refsav.model.families.mllm import IMAGE_MARK, Mllm, Tokenizer, with_one_image
from refsav.model.families.sizes import SHOWN_PIXELS
from refsav.model.families.vision import VisionFeatures, VisionInput, VisionLayout
from refsav.model.input_errors import InputError

FIRST_FACTOR = 28
FIRST_PIXELS = (4 * 28 * 28, 16384 * 28 * 28)
"""Areas in pixels. The released code first resizes every image with qwen-vl-utils, to multiples of 28."""

MOST_ELONGATED = 200
"""Largest aspect ratio that qwen-vl-utils accepts."""

EARLIER_ANSWER = "ANSWER"
"""Placeholder of an earlier answer in a chat template, used to find where the next turn starts."""


class Qwen(Mllm):
    """Adapter of `Qwen2_5_VLForConditionalGeneration` and `Qwen3VLForConditionalGeneration`."""

    seg_in_prompt = True
    takes_regions = False

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, shown_pixels: tuple[int, int] = SHOWN_PIXELS) -> None:
        super().__init__(model, tokenizer, "<|image_pad|>")
        vision = self.model.config.vision_config
        self._processor = Qwen2VLImageProcessor(
            patch_size=vision.patch_size,
            merge_size=vision.spatial_merge_size,
            temporal_patch_size=vision.temporal_patch_size,
            size={"shortest_edge": shown_pixels[0], "longest_edge": shown_pixels[1]},
            **self.normalization,
        )

    normalization: ClassVar[dict[str, list[float]]]
    """Mean and standard deviation of the image processor, per channel."""

    @property
    def language_model(self) -> Any:  # noqa: ANN401 - see Mllm
        return self.model.model.language_model

    def preprocess(self, frames: Sequence[Image], regions: Sequence[Mask]) -> VisionInput:
        if regions:
            raise InputError(
                f"{self.family} takes no visual prompts: it was never trained with them",
                "use a checkpoint of the InternVL family, or describe the region in words",
            )
        given = self._processor([_first_resize(frame) for frame in frames], return_tensors="pt")
        grids = given["image_grid_thw"]
        merged = int(self.model.config.vision_config.spatial_merge_size) ** 2
        counts = tuple(int(count) // merged for count in grids.prod(-1))
        return VisionInput(tokens_per_frame=counts, grids=grids, pixels=given["pixel_values"])

    def encode_inputs(self, inputs: Sequence[VisionInput]) -> list[VisionFeatures]:
        visual = self.model.model.visual
        pixels = torch.cat([one.pixels for one in inputs]).to(visual.device, visual.dtype)
        output = visual(pixels, grid_thw=torch.cat([one.grids for one in inputs]).to(visual.device))
        counts = [sum(one.tokens_per_frame) for one in inputs]
        rows = output.pooler_output.split(counts)
        layers = [deep.split(counts) for deep in getattr(output, "deepstack_features", None) or ()]
        return [
            VisionFeatures(
                tokens_per_frame=one.tokens_per_frame,
                grids=one.grids,
                rows=rows[number],
                deepstack=tuple(deep[number] for deep in layers),
            )
            for number, one in enumerate(inputs)
        ]

    def write(self, text: str, layout: VisionLayout) -> list[int]:
        spoken = with_one_image(text).replace(IMAGE_MARK, "")
        content = [*({"type": "image"} for _ in layout.tokens_per_frame), {"type": "text", "text": spoken}]
        turn = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = []
        counts = iter(layout.tokens_per_frame)
        for token in self.tokenizer.encode(turn, add_special_tokens=False):
            ids += [token] * next(counts, 1) if token == self.placeholder_id else [token]
        return ids

    def write_next(self, text: str) -> list[int]:
        talk = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": EARLIER_ANSWER},
            {"role": "user", "content": text},
        ]
        written = self.tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        return self.tokenizer.encode(written.partition(EARLIER_ANSWER + self.turn_end)[2], add_special_tokens=False)

    def positions(self, ids: Sequence[int], layout: VisionLayout) -> Tensor:
        row = torch.tensor([ids])
        kinds = (row == self.placeholder_id).int()
        found, _ = self.model.model.get_rope_index(row, kinds, image_grid_thw=layout.grids.cpu())
        positions: Tensor = found[:, 0]
        return positions

    def run(
        self,
        embeddings: Tensor,
        positions: Tensor,
        attend: Tensor,
        cache: Any,  # noqa: ANN401 - transformers' own
        placeholders: Tensor,
        features: VisionFeatures | None,
    ) -> Tensor:
        deep: dict[str, Any] = {}
        if features and features.deepstack:
            deep = {"visual_pos_masks": placeholders, "deepstack_visual_embeds": list(features.deepstack)}
        output = self.language_model(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask=attend,
            past_key_values=cache,
            use_cache=cache is not None,
            **deep,
        )
        states: Tensor = output.last_hidden_state
        return states


class Qwen25VL(Qwen):
    """Adapter of Qwen2.5-VL."""

    family = "Qwen2.5-VL"
    seg_state_before_norm = False
    normalization: ClassVar[dict[str, list[float]]] = {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }


class Qwen3VL(Qwen):
    """Adapter of Qwen3-VL."""

    family = "Qwen3-VL"
    seg_state_before_norm = True
    normalization: ClassVar[dict[str, list[float]]] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def _first_resize(frame: Image) -> Pillow.Image:
    height, width = frame.shape[:2]
    if max(height, width) > MOST_ELONGATED * min(height, width):
        raise InputError(
            f"an image of {width}x{height} pixels has an aspect ratio of more than {MOST_ELONGATED}",
            "cut it into pieces, or use a checkpoint of the InternVL family",
        )
    low, high = FIRST_PIXELS
    height, width = smart_resize(height, width, factor=FIRST_FACTOR, min_pixels=low, max_pixels=high)
    return resize(Pillow.fromarray(frame), width, height)
