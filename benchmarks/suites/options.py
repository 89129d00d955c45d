"""Options that a suite can take."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from refsav.benchmarks.metrics.captions import TokenizerName

Control = Literal["none", "shuffled"]
"""shuffled: the model is prompted for each object with another object's expression, to measure what the text adds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteOptions:
    """Options of all suites together. Each suite takes some of them; its entry in the registry lists which."""

    splits: tuple[str, ...] = ()
    """RefCOCO, RefCOCO+, RefCOCOg: the splits to run; empty: all but train."""
    images: Path | None = None
    """Image suites: folder of the images, if it is not at its usual place."""
    bert: Path | None = None
    """GCG: folder of bert-base-uncased, which recall needs."""
    tokenizer: TokenizerName = "ptb"
    """Captions: "plain" needs no Java, and omits METEOR."""
    control: Control = "none"
    """Videos whose masks are published: "shuffled" prompts for each object with another object's expression."""

    def changed(self) -> list[str]:
        """List the fields that differ from their defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


_FLAGS = {"splits": "--split", "control": "--shuffled"}


def flag(field: str) -> str:
    """Return how a field of SuiteOptions is called on the command line."""
    return _FLAGS.get(field, f"--{field}")
