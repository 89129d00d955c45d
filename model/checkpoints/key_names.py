"""How official Sa2VA checkpoints name and lay out their tensors, against our module, in both directions.

Ours are `mllm` (transformers' model), `sam2` and `text_hidden_fcs`, and `original_decoder` where an untouched SAM-2
mask decoder is kept beside the fine-tuned one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from refsav.model.families.key_rules import Fusion, Rule

_SAM2 = "grounding_encoder.sam2_model."
_TWO_DECODERS = (f"{_SAM2}sam_mask_decoder_modified.", "original_decoder.")

_SHARED = [
    # transformers renames every "gamma" when it loads, so the official files call this one differently
    Rule(f"{_SAM2}memory_encoder.fuser.layers.{{n}}.g_weight", ("sam2.memory_encoder.fuser.layers.{n}.gamma",)),
    Rule(f"{_SAM2}{{rest}}", ("sam2.{rest}",)),
    Rule("text_hidden_fcs.{rest}", ("text_hidden_fcs.{rest}",)),
]

_DECODERS = [
    Rule(f"{_SAM2}sam_mask_decoder_modified.{{rest}}", ("sam2.sam_mask_decoder.{rest}",)),
    Rule(f"{_SAM2}sam_mask_decoder.{{rest}}", ("original_decoder.{rest}",)),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What a file and our module do not share, under the file's names."""

    missing: tuple[str, ...]
    """What the module needs and the file lacks, in the module's order; our own name where such a file has none."""
    unexpected: tuple[str, ...]
    """What the file holds and the module has no place for, or a place already taken; in the file's order."""


@dataclass(frozen=True, slots=True)
class KeyMap:
    """The names of one kind of checkpoint. Made with `sa2va`, `base`, `sam2` or `original_decoder`."""

    rules: tuple[Rule, ...]
    """The first rule that is about a name holds."""

    @classmethod
    def sa2va(cls, mllm: Iterable[Rule], *, two_decoders: bool) -> "KeyMap":
        """For a Sa2VA of the family with these rules. `two_decoders`: what `has_two_decoders` returns for its names."""
        return cls((*mllm, *(_DECODERS if two_decoders else ()), *_SHARED))

    @classmethod
    def base(cls, mllm: Iterable[Rule]) -> "KeyMap":
        """For a base multimodal LLM of the family with these rules."""
        return cls(tuple(mllm))

    @classmethod
    def sam2(cls) -> "KeyMap":
        """For SAM-2 with Meta's names, which are ours."""
        return cls((Rule("{rest}", ("sam2.{rest}",)),))

    @classmethod
    def original_decoder(cls) -> "KeyMap":
        """For SAM-2's mask decoder alone, with Meta's names."""
        return cls((Rule("sam_mask_decoder.{rest}", ("original_decoder.{rest}",)),))

    def our_names(self, key: str) -> tuple[str, ...]:
        """The names in our module of what the official tensor `key` holds; none where the name means nothing."""
        return next((names for rule in self.rules if (names := rule.inward(key))), ())

    def official_key(self, name: str) -> str | None:
        """The official name of the tensor that holds our `name`; None where such a file has none."""
        return next((key for rule in self.rules if (key := rule.outward(name)) is not None), None)

    def official_keys(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        """What a file of our tensors `names` consists of: our names for each official one, in the order of ours.

        Raises:
            ValueError: One of our names has no official one, or a part of an official tensor is not among ours.
        """
        keys: dict[str, tuple[str, ...]] = {}
        for name in names:
            key = self.official_key(name)
            if key is None:
                raise ValueError(f"{name} has no name in such a checkpoint")
            keys[key] = self.our_names(key)
        given = set(names)
        for key, parts in keys.items():
            if lacking := [part for part in parts if part not in given]:
                raise ValueError(f"{key} cannot be put together without {', '.join(lacking)}")
        return keys

    def inward(self, key: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
        """Our names and tensors for an official one; views of it where possible, none where its name means nothing.

        Raises:
            ValueError: The tensor's shape [rows, ...] does not divide as its name says.
        """
        fusion = self._fusion(key)
        parts = [tensor] if fusion is None else fusion.split(tensor)
        names = self.our_names(key)
        return list(zip(names, parts, strict=True)) if names else []

    def outward(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Official names and tensors for all of ours; each is taken from `state`, and joined, when its turn comes.

        Raises:
            ValueError: As `official_keys` does, or the shapes of ours do not make the official one.
        """
        for key, names in self.official_keys(state.keys()).items():
            yield key, self._whole(key, [state[name] for name in names])

    def compare(self, found: Iterable[str], ours: Collection[str]) -> Difference:
        """Holds the official names `found` in a file against those of our module's tensors, `ours`."""
        wanted, taken, unexpected = set(ours), set[str](), list[str]()
        for key in found:
            names = self.our_names(key)
            if names and wanted.issuperset(names) and taken.isdisjoint(names):
                taken.update(names)
            else:
                unexpected.append(key)
        missing = dict.fromkeys(self.official_key(name) or name for name in ours if name not in taken)
        return Difference(missing=tuple(missing), unexpected=tuple(unexpected))

    def _fusion(self, key: str) -> Fusion | None:
        return next((rule.fusion for rule in self.rules if rule.inward(key)), None)

    def _whole(self, key: str, parts: list[Tensor]) -> Tensor:
        fusion = self._fusion(key)
        if fusion is None:
            return parts[0]
        try:
            return fusion.join(parts)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error


def has_two_decoders(names: Iterable[str]) -> bool:
    """Whether both mask decoders are among a file's names, or our module's: the fine-tuned and SAM-2's original one."""
    return any(name.startswith(_TWO_DECODERS) for name in names)
