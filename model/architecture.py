"""Which model a checkpoint's config.json describes, and that model without its weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from refsav.errors import RecordError
from refsav.model.internvl import InternVL
from refsav.model.key_names import Heads, KeyMap
from refsav.model.mllm import Mllm, Tokenizer
from refsav.model.qwen import Qwen3VL, Qwen25VL
from refsav.model.sam2_config import Sam2Config

Json = Mapping[str, Any]

OURS = "refsav"
"""Key of config.json under which sizes stand that the official code has fixed."""

OFFICIAL_NAMES = {"Qwen": "Sa2VAChatModelQwen", "InternVL": "Sa2VAChatModel"}

NOT_OF_THE_MLLM = ("architectures", "auto_map", "model_type", "template", "transformers_version", OURS)

LANGUAGE_MODELS = {
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "LlamaForCausalLM": "llama",
    "InternLM2ForCausalLM": "llama",  # the same network; its weights are stored in another order
    "Phi3ForCausalLM": "phi3",
}
"""transformers' name for each language model that an InternVL checkpoint may hold."""

FIX = "give a directory of a Sa2VA checkpoint: config.json, tokenizer files and *.safetensors"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Sa2VA's config.json, read and checked."""

    path: Path
    """Where it was read, for messages."""
    raw: Json
    family: str
    """"Qwen2.5-VL", "Qwen3-VL" or "InternVL"."""
    sam2: Sam2Config

    @classmethod
    def read(cls, directory: Path) -> "Architecture":
        """Read config.json.

        Raises:
            RecordError: If there is none, it is damaged, or of a family that is not supported.
        """
        path = directory / "config.json"
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            problem = "is no checkpoint: it has no config.json" if directory.is_dir() else "there is no such directory"
            raise RecordError(directory, "", problem, FIX) from None
        except (OSError, ValueError) as error:
            raise RecordError(path, "", f"cannot be read as JSON: {error}", FIX) from None
        if not isinstance(raw, dict):
            raise RecordError(path, "", "is no JSON object", FIX)
        sam2 = Sam2Config.from_mapping(raw.get(OURS, {}).get("sam2", {}), f"{path}: {OURS}.sam2")
        return cls(path, raw, _family(path, raw), sam2)

    @property
    def language_architecture(self) -> str:
        """Class of an InternVL checkpoint's language model, as its config.json names it."""
        return str((self.raw["llm_config"].get("architectures") or ["?"])[0])

    def build_mllm(self) -> nn.Module:
        """The multimodal LLM without trained weights.

        Raises:
            RecordError: If the configuration cannot be used.
        """
        try:
            return self._build_mllm()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(self.path, "", f"describes no {self.family} that can be built: {error}", FIX) from error

    def _build_mllm(self) -> nn.Module:
        raw = {key: value for key, value in self.raw.items() if key not in NOT_OF_THE_MLLM}
        model: nn.Module
        if self.family == Qwen3VL.family:
            model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**raw))
        elif self.family == Qwen25VL.family:
            model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**raw))
        else:
            model = InternVLForConditionalGeneration(self._internvl())
        return model

    def _internvl(self) -> InternVLConfig:
        vision, language = self.raw["vision_config"], dict(self.raw["llm_config"])
        kind = LANGUAGE_MODELS.get(self.language_architecture)
        if kind is None:
            raise RecordError(
                self.path,
                "llm_config.architectures",
                f"the language model {self.language_architecture} is not supported",
                f"take a checkpoint with one of {', '.join(LANGUAGE_MODELS)}",
            )
        for key in ("architectures", "auto_map", "model_type"):
            language.pop(key, None)
        return InternVLConfig(
            vision_config=InternVLVisionConfig(
                hidden_size=vision["hidden_size"],
                num_hidden_layers=vision["num_hidden_layers"],
                num_attention_heads=vision["num_attention_heads"],
                attention_bias=vision.get("qkv_bias", False),
                use_qk_norm=vision.get("qk_normalization", False),
                intermediate_size=vision["intermediate_size"],
                hidden_act=vision.get("hidden_act", "gelu"),
                norm_type=vision.get("norm_type", "rms_norm"),
                layer_norm_eps=vision.get("layer_norm_eps", 1e-6),
                image_size=vision["image_size"],
                patch_size=vision["patch_size"],
            ),
            text_config=AutoConfig.for_model(kind, **language),
            downsample_ratio=self.raw.get("downsample_ratio", 0.5),
            tie_word_embeddings=False,
        )

    @staticmethod
    def hidden_size(mllm: nn.Module) -> int:
        """Width of the language model's hidden states."""
        config: Any = mllm.config
        return int(config.get_text_config().hidden_size)

    def adapter(self, mllm: nn.Module, tokenizer: Tokenizer) -> Mllm:
        """The family's adapter around a model that `build_mllm` made."""
        if self.family == InternVL.family:
            template = str(self.raw.get("template", "qwen_chat")).replace("-", "_")
            return InternVL(mllm, tokenizer, template, int(self.raw.get("max_dynamic_patch", 12)))
        return (Qwen3VL if self.family == Qwen3VL.family else Qwen25VL)(mllm, tokenizer)

    def key_map(self, *, two_decoders: bool) -> KeyMap:
        """How weights are named on disk."""
        if self.family != InternVL.family:
            return KeyMap.qwen(two_decoders=two_decoders)
        language = self.raw["llm_config"]
        heads = None
        if self.language_architecture == "InternLM2ForCausalLM":
            queries = int(language["num_attention_heads"])
            heads = Heads(queries=queries, keys=int(language.get("num_key_value_heads", queries)))
        return KeyMap.internvl(two_decoders=two_decoders, internlm2=heads)


def _family(path: Path, raw: Json) -> str:
    if "llm_config" in raw and "vision_config" in raw:
        return InternVL.family
    kinds = {str(raw.get(part, {}).get("model_type", "")) for part in ("vision_config", "text_config")}
    for adapter, start in ((Qwen3VL, "qwen3_vl"), (Qwen25VL, "qwen2_5_vl")):
        if any(kind.startswith(start) and "moe" not in kind for kind in kinds):
            return adapter.family
    found = ", ".join(str(name) for name in raw.get("architectures") or ["no architecture"])
    raise RecordError(
        path, "", f"describes {found}, which is none of the supported families", "take Qwen2.5-VL, Qwen3-VL or InternVL"
    )
