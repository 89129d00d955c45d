"""The families of multimodal LLMs that Sa2VA builds on. A new family needs one more line here."""

from refsav.model.families.family import Family, Json
from refsav.model.families.internvl_family import InternVLFamily
from refsav.model.families.qwen_family import Qwen3VLFamily, Qwen25VLFamily

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Qwen25VLFamily(),
        Qwen3VLFamily(),
        InternVLFamily(),
    )
}
"""Families by name. A config.json belongs to the first family that recognizes it."""


def family_of(raw: Json) -> Family | None:
    """Return the family of a config.json, or None if it is not supported."""
    return next((family for family in FAMILIES.values() if family.recognizes(raw)), None)


def supported() -> str:
    """Return the names of the supported families for a message: "A, B or C"."""
    *others, last = FAMILIES
    return f"{', '.join(others)} or {last}"
