"""What Sa2VA is taught with, whatever dataset it comes from: frames, a conversation, a mask for every `[SEG]` of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.errors import RecordError

SEG = "[SEG]"
"""What an answer says where a mask belongs."""

TOKENS_A_FRAME = 256
"""What InternVL makes of a frame of a video, and Qwen of one of 448 x 448.

In InternVL an image has up to 13 times as many, by its shape, which is not known before it is opened.
"""
CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer."""

    question: str
    """Without a mark for the image: the model's adapter puts that in front of the first."""
    answer: str
    """May hold `[SEG]`s, and phrases between <p> and </p> before them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingExample:
    """Some frames of one image or video, what is said about them, and what is meant by it."""

    name: str
    """What a person finds it by: dataset, video or image, objects."""
    frames: tuple[Image, ...]
    """uint8 RGB [h, w, 3], all of one size; one is an image. The model sees all of them, in this order."""
    turns: tuple[Turn, ...]
    """One conversation."""
    masks: tuple[tuple[Mask, ...], ...]
    """bool [h, w], for every `[SEG]` of the answers in order one a frame."""
    regions: tuple[Mask, ...] = ()
    """Visual prompts, bool [h, w] at the image's size; the questions name them region1, region2, …"""
    left_out: tuple[str, ...] = ()
    """What should have been in it and could not be used, one line each: an object without an expression."""

    def __post_init__(self) -> None:
        """Raise ValueError if the parts do not belong together."""
        if not self.frames or not self.turns:
            raise ValueError("an example needs a frame and a turn at least")
        segs = sum(turn.answer.count(SEG) for turn in self.turns)
        if segs != len(self.masks):
            raise ValueError(f"the answers have {segs} {SEG}, there are masks for {len(self.masks)}")
        size = self.frames[0].shape[:2]
        if any(len(masks) != len(self.frames) for masks in self.masks):
            raise ValueError(f"an object has not as many masks as there are frames, {len(self.frames)}")
        for image in (*self.frames, *(mask for masks in self.masks for mask in masks), *self.regions):
            if image.shape[:2] != size:
                raise ValueError(f"a mask or frame is {_told(image.shape)}, the first frame {_told(size)}")


def estimate_tokens(frames: int, characters: int) -> int:
    """Guess how many tokens some frames and some text take; their sizes are not known."""
    return frames * TOKENS_A_FRAME + characters // CHARACTERS_A_TOKEN


class ExampleSource(Protocol):
    """A dataset to train on; anything that must be chosen at random is chosen anew whenever an example is read."""

    @property
    def name(self) -> str:
        """What results and errors call it."""

    @property
    def files(self) -> Sequence[Path]:
        """What it is told by: with other contents it is another dataset. Pictures are not among them."""

    def __len__(self) -> int:
        """How many examples one pass over it has."""

    def length_of(self, index: int) -> int:
        """About how many tokens an example takes, known without reading it: to put long ones beside long ones."""

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        """Make an example, decoding no more frames than it needs.

        Raises:
            RecordError: If what it is made of cannot be read or is not as the layout has it.
        """


@contextmanager
def located_errors(path: Path, where: str = "") -> Iterator[None]:
    """Turn a ValueError or an OSError into a RecordError that names the place.

    Args:
        path: The annotation file that is read.
        where: The place in it: an item, a video, an object.

    Raises:
        RecordError: In place of either error.
    """
    try:
        yield
    except OSError as error:
        raise RecordError(path, where, f"cannot be read: {error.strerror}", "restore the file") from error
    except ValueError as error:
        raise RecordError(path, where, str(error), "correct the annotation, or leave it out") from error


def _told(shape: Sequence[int]) -> str:
    return f"{shape[0]}x{shape[1]}"
