"""Read a checkpoint's config.json and build the model that it describes, without trained weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from torch import nn

from refsav.config import Config
from refsav.errors import RecordError, RefSavError
from refsav.model.checkpoints.key_names import KeyMap
from refsav.model.families import registry
from refsav.model.families.family import Family, Json
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.families.seg_tokens import SegDesign
from refsav.model.families.sizes import SHOWN_PIXELS
from refsav.model.input_errors import InputError
from refsav.model.sam.config import Sam2Config

OURS = "refsav"
"""Key of config.json for sizes that are constants in the official code."""

SECTIONS = ("text_config", "vision_config", "llm_config", OURS)
"""Optional keys of config.json that hold objects."""

SA2VA_KEYS = ("architectures", "auto_map", "model_type", "template", "transformers_version", OURS)
"""Keys that are removed before transformers' configuration is built."""

ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_autoset")
"""Keys that are ignored: released files request a package that may be missing; transformers chooses by itself."""

CHECKPOINT_FIX = "give a directory of a Sa2VA checkpoint: config.json, tokenizer files and *.safetensors"


class FixedSizes(Config):
    """Sizes that are constants in the official code, which are the defaults, but may differ in RefSAV's checkpoints."""

    sam2: Sam2Config = Sam2Config()
    shown_pixels: tuple[int, int] = Field(
        SHOWN_PIXELS,
        description="Smallest and largest area of a frame in the vision tower, in pixels (Qwen).",
    )

    seg_token: SegDesign = Field("single", description="How an answer refers to an object of a video.")

    @model_validator(mode="after")
    def _ordered(self) -> "FixedSizes":
        low, high = self.shown_pixels
        if not 0 < low <= high:
            raise ValueError(f"shown_pixels must be two areas, the smaller first, not {low} and {high}")
        return self


@dataclass(frozen=True, slots=True)
class Architecture:
    """A Sa2VA's config.json, checked."""

    path: Path
    """Path of config.json, for messages."""
    raw: Json
    family: str
    """Name of the family's entry in families/registry.py."""
    fixed: FixedSizes

    @classmethod
    def read(cls, directory: Path) -> "Architecture":
        """Read config.json.

        Raises:
            RecordError: If the file is missing or damaged, or the family is not supported.
            ConfigError: If sizes under the key `refsav` cannot be used.
        """
        return cls.of(directory / "config.json", read_config(directory, CHECKPOINT_FIX))

    @classmethod
    def of(cls, path: Path, raw: Json) -> "Architecture":
        """Check the content of a config.json; `path` is named in messages.

        Raises:
            RecordError: If a section is not an object, or the family is not supported.
            ConfigError: If sizes under the key `refsav` cannot be used.
        """
        for section in SECTIONS:
            if not isinstance(raw.get(section, {}), Mapping):
                raise RecordError(path, section, "is not a JSON object", CHECKPOINT_FIX)
        return cls(path, raw, family_of(path, raw).name, FixedSizes.from_mapping(raw.get(OURS, {}), f"{path}: {OURS}"))

    @property
    def sam2(self) -> Sam2Config:
        """Sizes of the SAM-2."""
        return self.fixed.sam2

    @property
    def entry(self) -> Family:
        """The family's entry: adapter, configuration layout, key rules, sizes."""
        return registry.FAMILIES[self.family]

    def build_mllm(self) -> nn.Module:
        """Build the multimodal LLM with random weights.

        Raises:
            RecordError: If the configuration cannot be used.
        """
        with self._naming_file():
            return self._build_mllm()

    @contextmanager
    def _naming_file(self) -> Iterator[None]:
        """Turn any error of a library about an unusual configuration into a RecordError that names the file."""
        try:
            yield
        except RefSavError:
            raise
        except Exception as error:
            problem = " ".join(f"describes no {self.family} that can be built: {type(error).__name__}: {error}".split())
            raise RecordError(self.path, "", problem, CHECKPOINT_FIX) from error

    def _build_mllm(self) -> nn.Module:
        raw = deepcopy(
            {key: value for key, value in self.raw.items() if key not in SA2VA_KEYS}
        )  # `build` may change it
        for section in (raw, *(raw[key] for key in SECTIONS if key in raw)):
            for key in ATTENTION_KEYS:
                section.pop(key, None)
        return self.entry.build(self.path, raw)

    @staticmethod
    def hidden_size(mllm: nn.Module) -> int:
        """Return the width of the language model's hidden states."""
        config: Any = mllm.config
        return int(config.get_text_config().hidden_size)

    def adapter(self, mllm: nn.Module, tokenizer: Tokenizer) -> Mllm:
        """Wrap a model that `build_mllm` returned in the family's adapter.

        Raises:
            RecordError: If the tokenizer lacks a token, or the conversation template is unknown.
        """
        with self._naming_file():
            try:
                return self.entry.adapter(mllm, tokenizer, self.raw, self.fixed.shown_pixels)
            except InputError as error:
                raise RecordError(self.path.parent, "", error.problem, error.fix) from None

    def key_map(self, *, two_decoders: bool) -> KeyMap:
        """Return the map between the names of weights on disk and in the module."""
        return KeyMap.sa2va(self.entry.key_rules(self.raw), two_decoders=two_decoders)

    def base_key_map(self) -> KeyMap:
        """Return the map for the weights of a base model, as its makers publish them."""
        return KeyMap.base(self.entry.base_key_rules(self.raw))


def read_config(directory: Path, fix: str) -> dict[str, Any]:
    """Read a checkpoint's config.json.

    Args:
        directory: The checkpoint.
        fix: Advice in the error if the directory is not a checkpoint.

    Raises:
        RecordError: If the file is missing or damaged.
    """
    path = directory / "config.json"
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        problem = "is not a checkpoint: it has no config.json" if directory.is_dir() else "there is no such directory"
        raise RecordError(directory, "", problem, fix) from None
    except (OSError, ValueError) as error:
        raise RecordError(path, "", f"cannot be read as JSON: {error}", fix) from None
    if not isinstance(raw, dict):
        raise RecordError(path, "", "is not a JSON object", fix)
    return raw


def family_of(path: Path, raw: Json) -> Family:
    """Return the family of a config.json.

    Raises:
        RecordError: If the family is not supported.
    """
    family = registry.family_of(raw)
    if family is None:
        found = ", ".join(str(name) for name in raw.get("architectures") or ["no architecture"])
        problem = f"describes {found}, which is not a supported family"
        raise RecordError(path, "", problem, f"use a checkpoint of {registry.supported()}")
    return family
