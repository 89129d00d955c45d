"""One training example of any dataset: frames, a conversation, and a mask for every `[SEG]` in its answers."""

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
"""The token in an answer that stands for a mask."""

TOKENS_A_FRAME = 256
"""Tokens of a video frame in InternVL, and of a 448 x 448 image in Qwen.

InternVL cuts an image into tiles by its shape, which is unknown before the file is opened: up to 13 times as many.
"""
CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer."""

    question: str
    """Without a placeholder for the image: the model's adapter puts that before the first question."""
    answer: str
    """May hold `[SEG]` tokens; in a grounded caption, each follows its phrase between <p> and </p>."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingExample:
    """Frames of one image or video, a conversation about them, and the masks that its answers refer to."""

    name: str
    """Identifies the example for people: dataset, video or image, objects."""
    frames: tuple[Image, ...]
    """uint8 RGB [h, w, 3], all of one size; a single frame is an image. The model sees all of them, in this order."""
    turns: tuple[Turn, ...]
    """One conversation, in order."""
    masks: tuple[tuple[Mask, ...], ...]
    """For every `[SEG]` of the answers, in order: one mask per frame, bool [h, w]."""
    regions: tuple[Mask, ...] = ()
    """Visual prompts, bool [h, w] at the size of the image; the questions name them region1, region2, …"""
    left_out: tuple[str, ...] = ()
    """What the example had to leave out, one line each: an object without an expression."""

    def __post_init__(self) -> None:
        """Raise ValueError if frames, turns and masks do not match."""
        if not self.frames or not self.turns:
            raise ValueError("an example needs at least one frame and one turn")
        segs = sum(turn.answer.count(SEG) for turn in self.turns)
        if segs != len(self.masks):
            raise ValueError(f"the answers have {segs} {SEG}, but there are masks for {len(self.masks)}")
        size = self.frames[0].shape[:2]
        if any(len(masks) != len(self.frames) for masks in self.masks):
            raise ValueError(f"an object does not have one mask for each of the {len(self.frames)} frames")
        for image in (*self.frames, *(mask for masks in self.masks for mask in masks), *self.regions):
            if image.shape[:2] != size:
                raise ValueError(f"a mask or frame is {_size(image.shape)}, the first frame {_size(size)}")


def estimate_tokens(frames: int, characters: int) -> int:
    """Estimate the tokens of an example from its number of frames and characters; sizes of images are unknown."""
    return frames * TOKENS_A_FRAME + characters // CHARACTERS_A_TOKEN


class ExampleSource(Protocol):
    """A dataset of training examples. Random choices are made again each time an example is read."""

    @property
    def name(self) -> str:
        """Name in results and errors."""

    @property
    def files(self) -> Sequence[Path]:
        """Files that identify the dataset: a run is tied to their digest. Images are not among them."""

    def __len__(self) -> int:
        """Number of examples in one pass."""

    def length_of(self, index: int) -> int:
        """Approximate number of tokens of an example, without reading it; batches group examples of similar length."""

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        """Read one example; only the frames that it needs are decoded.

        Args:
            index: Position in the source, from 0.
            random: Generator of all random choices: the same state gives the same example.

        Raises:
            RecordError: If a file cannot be read or does not follow its layout.
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


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]}x{shape[1]}"
