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
"""Key of config.json under which sizes stand that the official code has fixed."""

PARTS = ("text_config", "vision_config", "llm_config", OURS)
"""Keys of config.json that hold objects, where they are there."""

NOT_OF_THE_MLLM = ("architectures", "auto_map", "model_type", "template", "transformers_version", OURS)

HOW_TO_ATTEND = ("attn_implementation", "_attn_implementation", "_attn_implementation_autoset")
"""Released files ask for a package that may not be there; what suits the machine is found anyway."""

CHECKPOINT_FIX = "give a directory of a Sa2VA checkpoint: config.json, tokenizer files and *.safetensors"


class FixedSizes(Config):
    """What the official code has fixed and a checkpoint of ours may have otherwise; the defaults are the released."""

    sam2: Sam2Config = Sam2Config()
    shown_pixels: tuple[int, int] = Field(
        SHOWN_PIXELS,
        description="Smallest and largest area of a frame in the vision tower, in pixels (Qwen).",
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
    """Name of its entry in families/registry.py."""
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
        return cls(path, raw, family_of(path, raw).name, FixedSizes.from_mapping(raw.get(OURS, {}), f"{path}: {OURS}"))

    @property
    def sam2(self) -> Sam2Config:
        """Sizes of its SAM-2."""
        return self.fixed.sam2

    @property
    def entry(self) -> Family:
        """The entry of its family: adapter, configuration layout, key rules, sizes."""
        return registry.FAMILIES[self.family]

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
        raw = deepcopy({key: value for key, value in self.raw.items() if key not in NOT_OF_THE_MLLM})  # it is changed
        for part in (raw, *(raw[key] for key in PARTS if key in raw)):
            for key in HOW_TO_ATTEND:
                part.pop(key, None)
        return self.entry.build(self.path, raw)

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
                return self.entry.adapter(mllm, tokenizer, self.raw, self.fixed.shown_pixels)
            except InputError as error:
                raise RecordError(self.path.parent, "", error.problem, error.fix) from None

    def key_map(self, *, two_decoders: bool) -> KeyMap:
        """Return how weights are named on disk."""
        return KeyMap.sa2va(self.entry.key_rules(self.raw), two_decoders=two_decoders)

    def base_key_map(self) -> KeyMap:
        """Return how the base model's weights are named, before there is a Sa2VA."""
        return KeyMap.base(self.entry.base_key_rules(self.raw))


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


def family_of(path: Path, raw: Json) -> Family:
    """Return the family that a config.json is of. Raises RecordError for those that are not supported."""
    family = registry.family_of(raw)
    if family is None:
        found = ", ".join(str(name) for name in raw.get("architectures") or ["no architecture"])
        problem = f"describes {found}, which is not a supported family"
        raise RecordError(path, "", problem, f"take {registry.supported()}")
    return family
