"""What a suite can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from refsav.benchmarks.metrics.captions import TokenizerName

Control = Literal["none", "shuffled"]
"""shuffled: each object of a video is asked for with the words for another, to see how much the words matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteOptions:
    """What a suite can be told; what it does not know is refused."""

    splits: tuple[str, ...] = ()
    """RefCOCO and its like: some of the splits; none: all but train."""
    images: Path | None = None
    """Image suites: the folder of the images, if it does not lie where others keep it."""
    bert: Path | None = None
    """GCG: folder of bert-base-uncased, which recall needs."""
    tokenizer: TokenizerName = "ptb"
    """Captions: "plain" goes without Java, and without METEOR."""
    control: Control = "none"
    """Videos whose masks are published: "shuffled" asks for every object with the words for another."""
