"""Which model a checkpoint's config.json describes, and that model without its weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
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

from refsav.config import Config
from refsav.errors import RecordError, RefSavError
from refsav.model.checkpoints.key_names import Heads, KeyMap
from refsav.model.families.internvl import InternVL
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.families.qwen import SHOWN_PIXELS, Qwen3VL, Qwen25VL
from refsav.model.families.seg_tokens import SegDesign
from refsav.model.input_errors import InputError
from refsav.model.sam.config import Sam2Config

Json = Mapping[str, Any]

OURS = "refsav"
"""Key of config.json under which sizes stand that the official code has fixed."""

PARTS = ("text_config", "vision_config", "llm_config", OURS)
"""Keys of config.json that hold objects, where they are there."""

NOT_OF_THE_MLLM = ("architectures", "auto_map", "model_type", "template", "transformers_version", OURS)

HOW_TO_ATTEND = ("attn_implementation", "_attn_implementation", "_attn_implementation_autoset")
"""Released files ask for a package that may not be there; what suits the machine is found anyway."""

LANGUAGE_MODELS = {
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "LlamaForCausalLM": "llama",
    "InternLM2ForCausalLM": "llama",  # the same network; its weights are stored in another order
    "Phi3ForCausalLM": "phi3",
}
"""transformers' name for each language model that an InternVL checkpoint may hold."""

CHECKPOINT_FIX = "give a directory of a Sa2VA checkpoint: config.json, tokenizer files and *.safetensors"


class FixedSizes(Config):
    """What the official code has fixed and a checkpoint of ours may have otherwise; the defaults are the released."""

    sam2: Sam2Config = Sam2Config()
    shown_pixels: tuple[int, int] = Field(
        SHOWN_PIXELS, description="Bounds of a frame's area as a Qwen's vision tower sees it, in pixels."
    )

    seg_token: SegDesign = Field("single", description="What an answer says where an object of a video is meant.")

    @model_validator(mode="after")
    def _ordered(self) -> "FixedSizes":
        low, high = self.shown_pixels
        if not 0 < low <= high:
            raise ValueError(f"shown_pixels must be two areas, the smaller first, not {low} and {high}")
        return self


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Sa2VA's config.json, read and checked."""

    path: Path
    """Where it was read, for messages."""
    raw: Json
    family: str
    """"Qwen2.5-VL", "Qwen3-VL" or "InternVL"."""
    fixed: FixedSizes

    @classmethod
    def read(cls, directory: Path) -> "Architecture":
        """Read config.json.

        Raises:
            RecordError: If there is none, it is damaged, or of a family that is not supported.
        """
        return cls.of(directory / "config.json", read_config(directory, CHECKPOINT_FIX))

    @classmethod
    def of(cls, path: Path, raw: Json) -> "Architecture":
        """Check the content of a config.json. `path`: where it stands, or would, for messages.

        Raises:
            RecordError: If it is of a family that is not supported.
            ConfigError: If sizes under the key of ours cannot be used.
        """
        for part in PARTS:
            if not isinstance(raw.get(part, {}), Mapping):
                raise RecordError(path, part, "is no JSON object", CHECKPOINT_FIX)
        return cls(path, raw, family_of(path, raw), FixedSizes.from_mapping(raw.get(OURS, {}), f"{path}: {OURS}"))

    @property
    def sam2(self) -> Sam2Config:
        """Sizes of its SAM-2."""
        return self.fixed.sam2

    @property
    def language_architecture(self) -> str:
        """Class of an InternVL checkpoint's language model, as its config.json names it."""
        return str((self.raw["llm_config"].get("architectures") or ["?"])[0])

    def build_mllm(self) -> nn.Module:
        """The multimodal LLM without trained weights.

        Raises:
            RecordError: If the configuration cannot be used.
        """
        with self._telling():
            return self._build_mllm()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn whatever a library makes of an unusual configuration into an error that names the file."""
        try:
            yield
        except RefSavError:
            raise
        except Exception as error:
            problem = " ".join(f"describes no {self.family} that can be built: {type(error).__name__}: {error}".split())
            raise RecordError(self.path, "", problem, CHECKPOINT_FIX) from error

    def _build_mllm(self) -> nn.Module:
        raw = deepcopy(
            {key: value for key, value in self.raw.items() if key not in NOT_OF_THE_MLLM}
        )  # it is written to
        for part in (raw, raw.get("text_config", {}), raw.get("vision_config", {})):
            for key in HOW_TO_ATTEND:
                part.pop(key, None)
        model: nn.Module
        if self.family == Qwen3VL.family:
            model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**raw))
        elif self.family == Qwen25VL.family:
            model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**raw))
        else:
            model = InternVLForConditionalGeneration(self._internvl())
        return model

    def _internvl(self) -> InternVLConfig:
        vision, language = self.raw["vision_config"], deepcopy(self.raw["llm_config"])
        kind = LANGUAGE_MODELS.get(self.language_architecture)
        if kind is None:
            raise RecordError(
                self.path,
                "llm_config.architectures",
                f"the language model {self.language_architecture} is not supported",
                f"take a checkpoint with one of {', '.join(LANGUAGE_MODELS)}",
            )
        for key in ("architectures", "auto_map", "model_type", *HOW_TO_ATTEND):
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
                initializer_range=vision.get("initializer_range", 0.02),
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
        """The family's adapter around a model that `build_mllm` made.

        Raises:
            RecordError: If tokenizer or configuration lack what it needs.
        """
        with self._telling():
            try:
                return self._adapter(mllm, tokenizer)
            except InputError as error:
                raise RecordError(self.path.parent, "", error.problem, error.fix) from None

    def _adapter(self, mllm: nn.Module, tokenizer: Tokenizer) -> Mllm:
        if self.family == InternVL.family:
            template = str(self.raw.get("template", "qwen_chat")).replace("-", "_")
            return InternVL(mllm, tokenizer, template, int(self.raw.get("max_dynamic_patch", 12)))
        return (Qwen3VL if self.family == Qwen3VL.family else Qwen25VL)(mllm, tokenizer, self.fixed.shown_pixels)

    def key_map(self, *, two_decoders: bool) -> KeyMap:
        """How weights are named on disk."""
        if self.family != InternVL.family:
            return KeyMap.qwen(two_decoders=two_decoders)
        return KeyMap.internvl(two_decoders=two_decoders, internlm2=self._internlm2_heads())

    def base_key_map(self) -> KeyMap:
        """How the base model's weights are named, before there is a Sa2VA."""
        if self.family != InternVL.family:
            return KeyMap.base_qwen()
        return KeyMap.base_internvl(internlm2=self._internlm2_heads())

    def _internlm2_heads(self) -> Heads | None:
        if self.language_architecture != "InternLM2ForCausalLM":
            return None
        language = self.raw["llm_config"]
        queries = int(language["num_attention_heads"])
        return Heads(queries=queries, keys=int(language.get("num_key_value_heads", queries)))


def read_config(directory: Path, fix: str) -> dict[str, Any]:
    """Read a checkpoint's config.json; `fix` is what to give instead of a directory without one.

    Raises:
        RecordError: If there is none, or it is damaged.
    """
    path = directory / "config.json"
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        problem = "is no checkpoint: it has no config.json" if directory.is_dir() else "there is no such directory"
        raise RecordError(directory, "", problem, fix) from None
    except (OSError, ValueError) as error:
        raise RecordError(path, "", f"cannot be read as JSON: {error}", fix) from None
    if not isinstance(raw, dict):
        raise RecordError(path, "", "is no JSON object", fix)
    return raw


def family_of(path: Path, raw: Json) -> str:
    """Tell the family that a config.json is of. Raises RecordError for those that are not supported."""
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
