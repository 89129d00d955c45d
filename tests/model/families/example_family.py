"""A complete family, the example of docs/extend.md: Qwen2-VL, which transformers has and Sa2VA never used.

The line in model/families/registry.py is `Qwen2VLFamily(),`. The sizes file names it: `family = "Qwen2-VL"`.
"""

from pathlib import Path
from typing import Any

from torch import nn
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from refsav.model.families.family import Json
from refsav.model.families.qwen import Qwen25VL
from refsav.model.families.qwen_family import QwenFamily
from refsav.model.families.sizes import MllmSizes


class Qwen2VL(Qwen25VL):
    """The adapter: frames, prompts and hidden states work as in Qwen2.5-VL."""

    family = "Qwen2-VL"


class Qwen2VLFamily(QwenFamily):
    """The entry: config.json and sizes. Weights have the names of all Qwen families: `key_rules` is inherited."""

    name = Qwen2VL.family
    model_type = "qwen2_vl"
    adapter_class = Qwen2VL
    own_sizes = frozenset({"shown_pixels"})

    def recognizes(self, raw: Json) -> bool:
        """The makers' config.json names its type only at the top, a Sa2VA's only in its parts."""
        return raw.get("model_type") == self.model_type or super().recognizes(raw)

    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        """Build transformers' model with random weights."""
        del path
        model: nn.Module = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**raw))
        return model

    def own_config(self, sizes: MllmSizes) -> tuple[Json, Json]:
        """Return what this family adds to the Qwens' common keys: of the language model, and of the vision tower."""
        sides = sizes.language.width_of_head * 3 // 16  # rotary sections of 16, 24 and 24 for a head of 128
        sections = [sizes.language.width_of_head // 2 - 2 * sides, sides, sides]
        return {
            "model_type": "qwen2_vl_text",
            "rope_scaling": {"rope_type": "default", "mrope_section": sections},
        }, {
            "model_type": "qwen2_vl",
            "embed_dim": sizes.vision.hidden_size,
            "hidden_size": sizes.language.hidden_size,  # of the tower's output, unlike in Qwen2.5-VL
            "hidden_act": "quick_gelu",
            "mlp_ratio": sizes.vision.feedforward // sizes.vision.hidden_size,
        }
