"""Map tensor names and layouts between official Sa2VA checkpoints and RefSAV's module, in both directions.

RefSAV's module has `mllm` (transformers' model), `sam2`, `text_hidden_fcs`, and `original_decoder` if the untouched
SAM-2 mask decoder is kept in addition to the fine-tuned one. "Our names" are the names in this module.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from refsav.model.families.key_rules import Fusion, Rule

_SAM2 = "grounding_encoder.sam2_model."
_TWO_DECODERS = (f"{_SAM2}sam_mask_decoder_modified.", "original_decoder.")

_SHARED = [
    # transformers renames every "gamma" when it loads; the official files use another name to prevent it
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
    """The tensors that only a file or only the module has, under the file's names."""

    missing: tuple[str, ...]
    """Tensors that the file lacks, in the module's order; under our name if such files have no name for it."""
    unexpected: tuple[str, ...]
    """Tensors that the module lacks or that the file has twice, in the file's order."""


@dataclass(frozen=True, slots=True)
class KeyMap:
    """The tensor names of one kind of checkpoint. Create it with `sa2va`, `base`, `sam2` or `original_decoder`."""

    rules: tuple[Rule, ...]
    """The first rule that matches a name applies."""

    @classmethod
    def sa2va(cls, mllm: Iterable[Rule], *, two_decoders: bool) -> "KeyMap":
        """Return the map for a Sa2VA of a family with these rules; `two_decoders` comes from `has_two_decoders`."""
        return cls((*mllm, *(_DECODERS if two_decoders else ()), *_SHARED))

    @classmethod
    def base(cls, mllm: Iterable[Rule]) -> "KeyMap":
        """Return the map for a base multimodal LLM of a family with these rules."""
        return cls(tuple(mllm))

    @classmethod
    def sam2(cls) -> "KeyMap":
        """Return the map for SAM-2 with Meta's names, which the module uses too."""
        return cls((Rule("{rest}", ("sam2.{rest}",)),))

    @classmethod
    def original_decoder(cls) -> "KeyMap":
        """Return the map for SAM-2's mask decoder alone, with Meta's names."""
        return cls((Rule("sam_mask_decoder.{rest}", ("original_decoder.{rest}",)),))

    def our_names(self, key: str) -> tuple[str, ...]:
        """Return our names for the content of the official tensor `key`; empty if the key is unknown."""
        return next((names for rule in self.rules if (names := rule.inward(key))), ())

    def official_key(self, name: str) -> str | None:
        """Return the official name of the tensor that holds our `name`; None if such files have no such tensor."""
        return next((key for rule in self.rules if (key := rule.outward(name)) is not None), None)

    def official_keys(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the tensors of a file that holds our tensors `names`: our names by official name, in our order.

        Raises:
            ValueError: If a name has no official one, or a tensor that an official one is joined from is missing.
        """
        keys: dict[str, tuple[str, ...]] = {}
        for name in names:
            key = self.official_key(name)
            if key is None:
                raise ValueError(f"{name} has no name in such a checkpoint")
            keys[key] = self.our_names(key)
        given = set(names)
        for key, ours in keys.items():
            if lacking := [name for name in ours if name not in given]:
                raise ValueError(f"{key} cannot be put together without {', '.join(lacking)}")
        return keys

    def inward(self, key: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
        """Return our names and tensors for an official tensor [rows, ...]: views if possible, none if it is unknown.

        Raises:
            ValueError: If its rows do not divide evenly among our tensors.
        """
        fusion = self._fusion(key)
        pieces = [tensor] if fusion is None else fusion.split(tensor)
        names = self.our_names(key)
        return list(zip(names, pieces, strict=True)) if names else []

    def outward(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Yield official names and tensors for all of ours, reading and joining one official tensor at a time.

        Raises:
            ValueError: If names have no official ones (`official_keys`), or shapes do not fit together.
        """
        for key, names in self.official_keys(state.keys()).items():
            yield key, self._joined(key, [state[name] for name in names])

    def compare(self, found: Iterable[str], ours: Collection[str]) -> Difference:
        """Compare the official names `found` in a file with those that the module's tensors `ours` need."""
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

    def _joined(self, key: str, pieces: list[Tensor]) -> Tensor:
        fusion = self._fusion(key)
        if fusion is None:
            return pieces[0]
        try:
            return fusion.join(pieces)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error


def has_two_decoders(names: Iterable[str]) -> bool:
    """Return whether the names of a file or of the module include both mask decoders: fine-tuned and original."""
    return any(name.startswith(_TWO_DECODERS) for name in names)
