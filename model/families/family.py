"""What RefSAV must know of a family of multimodal LLMs: one entry says it all (docs/extend.md)."""

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

USUAL_TEMPLATE = "qwen_chat"


class Family(ABC):
    """A family of multimodal LLMs that Sa2VA builds on: its adapter, config.json, weights and sizes.

    To add one, subclass this and list an instance in registry.py. Tensor names are those of our module: transformers'
    names below `mllm.`.
    """

    name: ClassVar[str]
    """As messages, `family` in configs/models and `refsav create` write it; the same as the adapter's `family`."""
    language_key: ClassVar[str] = "text_config"
    """Key of config.json that holds the language model's configuration."""
    released_suffix: ClassVar[str] = ""
    """End of the names of the official code's classes: `Sa2VAChatModel…`, `Sa2VAChatConfig…`."""
    released_module: ClassVar[str] = "modeling_sa2va_chat"
    """Module of the official code that holds the model's class."""

    vision_parts: ClassVar[Mapping[str, VisionPart]]
    """Part of each weight outside of the language model, by the beginning of its name; the first that fits wins."""
    embedding: ClassVar[str] = "mllm.model.language_model.embed_tokens.weight"
    """Name of the token embedding [V, H]."""
    head: ClassVar[str] = "mllm.lm_head.weight"
    """Name of the output layer [V, H]."""
    own_sizes: ClassVar[frozenset[str]] = frozenset()
    """Keys of configs/models that mean something to this family but not to every family."""

    @abstractmethod
    def recognizes(self, raw: Json) -> bool:
        """Return whether a config.json, of a Sa2VA or of a base model, is of this family."""

    def refuse_base(self, raw: Json) -> tuple[str, str] | None:
        """Return problem and fix if config.json is of a layout of this family that cannot be read, else None."""
        del raw
        return None

    @abstractmethod
    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        """Build transformers' model with random weights.

        Args:
            path: The config.json, for messages.
            raw: Its content without the keys that only Sa2VA has. The family may change it.

        Raises:
            RecordError: If the configuration is not supported.
        """

    @abstractmethod
    def adapter(self, model: nn.Module, tokenizer: Tokenizer, raw: Json, shown_pixels: tuple[int, int]) -> Mllm:
        """Wrap a model that `build` made.

        Args:
            model: transformers' model.
            tokenizer: With Sa2VA's special tokens.
            raw: The content of config.json.
            shown_pixels: Smallest and largest area of a frame in pixels; ignored by families that cut tiles.

        Raises:
            InputError: If tokenizer or configuration lack something.
        """

    @abstractmethod
    def key_rules(self, raw: Json) -> tuple[Rule, ...]:
        """Return how an official Sa2VA checkpoint names the tensors of the multimodal LLM."""

    @abstractmethod
    def base_key_rules(self, raw: Json) -> tuple[Rule, ...]:
        """Return how the makers' own checkpoint names them."""

    @abstractmethod
    def sa2va_config(self, base: Json, tokens: int) -> Json:
        """Return a base model's config.json with the conversation template and embedding rows of a Sa2VA.

        Args:
            base: The content of the base model's config.json.
            tokens: Rows of the embedding.
        """

    @abstractmethod
    def config_of(self, sizes: MllmSizes, rows: int, tokenizer: Tokenizer) -> Json:
        """Lay out sizes as config.json of the official code; the names of its classes are added by the caller.

        Args:
            sizes: Of the multimodal LLM.
            rows: Rows of the embedding.
            tokenizer: Of the model.
        """

    def template(self, language: LanguageShape) -> str:
        """Return the name of the conversation template of a model of these sizes."""
        del language
        return USUAL_TEMPLATE

    def check_sizes(self, sizes: MllmSizes) -> None:
        """Raise ValueError if sizes that are each valid cannot be used together."""
        del sizes

    def part_of(self, name: str) -> str:
        """Return the part of a multimodal LLM's weight, as `[learns]` of a training's configuration names parts."""
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
