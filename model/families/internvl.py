"""Adapter of InternVL 2, 2.5 and 3.

An image becomes several tiles, a frame of a video one. A marked region repeats its feature rows of the last tile.
Source: Sa2VA's official code, `Sa2VAChatModel`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.families.internvl_tiles import region_cells, tiles_of, whole
from refsav.model.families.mllm import IMAGE_MARK, Mllm, Tokenizer, with_one_image
from refsav.model.families.vision import VisionFeatures, VisionInput, VisionLayout
from refsav.model.input_errors import InputError

CONTEXT = "<IMG_CONTEXT>"
TURN_ENDS: Mapping[str, str] = {"qwen_chat": "<|im_end|>", "internlm2_chat": "<|im_end|>", "phi3_chat": "<|end|>"}
"""Text that ends an answer, by template. Sa2VA-4B uses Phi-3's with Qwen's tokenizer, in which it is not one token."""

USER_TURNS: Mapping[str, str] = {
    "qwen_chat": "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "internlm2_chat": "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "phi3_chat": "<|user|>\n{}<|end|>\n<|assistant|>\n",
}
"""A user's turn, by `template` of config.json; the released models were trained without a system turn."""


class InternVL(Mllm):
    """Adapter of transformers' `InternVLForConditionalGeneration`."""

    family = "InternVL"
    seg_state_before_norm = False
    seg_in_prompt = False
    takes_regions = True

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, template: str, most_tiles: int) -> None:
        super().__init__(model, tokenizer, CONTEXT)
        if template not in USER_TURNS:
            raise InputError(
                f"the conversation template {template!r} is unknown",
                f"set template in config.json to one of {', '.join(USER_TURNS)}",
            )
        self._turn = USER_TURNS[template]
        self.turn_end = TURN_ENDS[template]
        self._most_tiles = most_tiles
        vision = self.model.config.vision_config
        self._side = int(vision.image_size[0])
        self._grid = int(self._side // vision.patch_size[0] * self.model.config.downsample_ratio)

    @property
    def language_model(self) -> Any:  # noqa: ANN401 - see Mllm
        return self.model.model.language_model

    def preprocess(self, frames: Sequence[Image], regions: Sequence[Mask]) -> VisionInput:
        if regions and len(frames) != 1:
            raise InputError("regions are marked in a video", "mark them in an image, such as one frame of the video")
        image = len(frames) == 1
        tiles = tiles_of(frames[0], self._most_tiles, self._side) if image else whole(frames, self._side)
        cells = tuple(torch.from_numpy(region_cells(region, self._grid).reshape(-1)) for region in regions)
        per_tile = self._grid**2
        return VisionInput(
            tokens_per_frame=(len(tiles) * per_tile,) if image else (per_tile,) * len(frames),
            grids=torch.empty(0, 3, dtype=torch.int64),
            cells_per_region=tuple(int(taken.sum()) for taken in cells),
            pixels=tiles,
            cells=cells,
        )

    def encode_inputs(self, inputs: Sequence[VisionInput]) -> list[VisionFeatures]:
        counts = [len(one.pixels) for one in inputs]
        of_tiles = self._features(torch.cat([one.pixels for one in inputs]))  # [tiles, grid², H]
        encoded: list[VisionFeatures] = []
        for one, features in zip(inputs, torch.split(of_tiles, counts), strict=True):
            marked = [features[-1][taken.to(features.device)] for taken in one.cells]
            encoded.append(
                VisionFeatures(
                    tokens_per_frame=one.tokens_per_frame,
                    grids=one.grids,
                    cells_per_region=one.cells_per_region,
                    rows=torch.cat([features.flatten(0, 1), *marked]),
                    deepstack=(),
                )
            )
        return encoded

    def _features(self, tiles: Tensor) -> Tensor:
        weight = self.model.model.multi_modal_projector.linear_1.weight
        output = self.model.model.get_image_features(
            pixel_values=tiles.to(weight.device, weight.dtype),
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
        )
        features: Tensor = output.pooler_output
        return features

    def write(self, text: str, layout: VisionLayout) -> list[int]:
        blocks = "\n".join(f"<img>{CONTEXT * count}</img>" for count in layout.tokens_per_frame)
        if layout.cells_per_region:
            names = ", ".join(
                f"region{number}<vp>{CONTEXT * count}</vp>" for number, count in enumerate(layout.cells_per_region, 1)
            )
            blocks += f"\nThere are {len(layout.cells_per_region)} part regions in the picture: {names}.\n"
        spoken = with_one_image(text).replace(IMAGE_MARK, blocks)
        # InternLM2's and Llama's tokenizers put <s> in front, as in training; Qwen's put nothing
        return self.tokenizer.encode(self._turn.format(spoken), add_special_tokens=True)

    def write_next(self, text: str) -> list[int]:
        return self.tokenizer.encode(f"\n{self._turn.format(text)}", add_special_tokens=False)

    def positions(self, ids: Sequence[int], layout: VisionLayout) -> Tensor:  # noqa: ARG002 - plain positions need none
        return torch.arange(len(ids))[None]

    def run(
        self,
        embeddings: Tensor,
        positions: Tensor,
        attend: Tensor,
        cache: Any,  # noqa: ANN401 - transformers' own
        placeholders: Tensor,  # noqa: ARG002 - only Qwen3-VL needs it
        features: VisionFeatures | None,  # noqa: ARG002 - only Qwen3-VL needs it
    ) -> Tensor:
        output = self.language_model(
            inputs_embeds=embeddings,
            position_ids=positions[0],
            attention_mask=attend,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        states: Tensor = output.last_hidden_state
        return states
