"""Everything RefSAV needs to know about a family of multimodal LLMs, in one entry (docs/extend.md)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from refsav.model.families.key_rules import Rule
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.families.sizes import LanguageShape, MllmSizes

Json = Mapping[str, Any]
VisionPart = Literal["vision_tower", "vision_projection"]
"""Groups of a multimodal LLM's vision weights that a training can freeze or train (`[learns]`)."""

USUAL_TEMPLATE = "qwen_chat"


class Family(ABC):
    """A family of multimodal LLMs that Sa2VA builds on: its adapter, config.json, weights and sizes.

    To add one, subclass this and list an instance in registry.py. Tensor names are those of RefSAV's module:
    transformers' names below `mllm.`.
    """

    name: ClassVar[str]
    """Name in messages and under `family` in configs/models; the same as the adapter's `family`."""
    language_key: ClassVar[str] = "text_config"
    """Key of config.json that holds the language model's configuration."""
    released_suffix: ClassVar[str] = ""
    """Suffix of the official code's class names: `Sa2VAChatModel…`, `Sa2VAChatConfig…`."""
    released_module: ClassVar[str] = "modeling_sa2va_chat"
    """Module of the official code that holds the model's class."""

    vision_parts: ClassVar[Mapping[str, VisionPart]]
    """Groups of the weights outside of the language model, by prefix of the name; the first prefix that fits wins."""
    embedding: ClassVar[str] = "mllm.model.language_model.embed_tokens.weight"
    """Name of the token embedding [V, H]."""
    head: ClassVar[str] = "mllm.lm_head.weight"
    """Name of the output layer [V, H]."""
    own_sizes: ClassVar[frozenset[str]] = frozenset()
    """Keys of configs/models that this family uses and not all families do, such as `vision.window_px`."""

    @abstractmethod
    def recognizes(self, raw: Json) -> bool:
        """Return whether a config.json, of a Sa2VA or of a base model, belongs to this family."""

    def refuse_base(self, raw: Json) -> tuple[str, str] | None:
        """Return problem and fix if a base model's config.json has an unsupported layout of this family, else None."""
        del raw
        return None

    @abstractmethod
    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        """Build transformers' model with random weights.

        Args:
            path: The config.json, for messages.
            raw: Its content without the keys that only Sa2VA has. This method may change it.

        Raises:
            RecordError: If the configuration is not supported.
        """

    @abstractmethod
    def adapter(self, model: nn.Module, tokenizer: Tokenizer, raw: Json, shown_pixels: tuple[int, int]) -> Mllm:
        """Wrap a model that `build` returned.

        Args:
            model: transformers' model.
            tokenizer: Has Sa2VA's special tokens.
            raw: The content of config.json.
            shown_pixels: Smallest and largest area of a frame in pixels; ignored by families that cut tiles.

        Raises:
            InputError: If the tokenizer lacks a token, or the conversation template is unknown.
        """

    @abstractmethod
    def key_rules(self, raw: Json) -> tuple[Rule, ...]:
        """Return the rules that map an official Sa2VA checkpoint's tensor names of the multimodal LLM to RefSAV's."""

    @abstractmethod
    def base_key_rules(self, raw: Json) -> tuple[Rule, ...]:
        """Return the rules for a base model's checkpoint, as its makers publish it."""

    @abstractmethod
    def sa2va_config(self, base: Json, tokens: int) -> Json:
        """Return a base model's config.json with the conversation template and embedding rows of a Sa2VA.

        Args:
            base: The content of the base model's config.json.
            tokens: Number of rows of the embedding.
        """

    @abstractmethod
    def config_of(self, sizes: MllmSizes, rows: int, tokenizer: Tokenizer) -> Json:
        """Return the official code's config.json for a model of these sizes; the caller adds the class names.

        Args:
            sizes: Sizes of the multimodal LLM.
            rows: Number of rows of the embedding.
            tokenizer: Supplies the ids of special tokens.
        """

    def template(self, language: LanguageShape) -> str:
        """Return the name of the conversation template of a model of these sizes."""
        del language
        return USUAL_TEMPLATE

    def check_sizes(self, sizes: MllmSizes) -> None:
        """Raise ValueError if sizes that are each valid cannot be used together."""
        del sizes

    def part_of(self, name: str) -> str:
        """Return the group that a multimodal LLM's weight belongs to, as `[learns]` of a training names it."""
        for start, part in self.vision_parts.items():
            if name.startswith(start):
                return part
        return "embeddings" if name.startswith((_module(self.embedding), _module(self.head))) else "language_model"


def language_config(sizes: MllmSizes, rows: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the keys of config.json that the language models of all families share."""
    shape = sizes.language
    return {
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": sizes.language_range,
        "intermediate_size": shape.feedforward,
        "max_position_embeddings": shape.context_tokens,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "use_cache": True,
        "vocab_size": rows,
    }


def _module(weight: str) -> str:
    return weight.removesuffix("weight")
