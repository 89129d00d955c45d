"""Examples as training takes them: which ones each step has, read and prepared by processes beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from refsav.datasets.training_examples.mixture import BadExample, Mixture, TooManyBadError
from refsav.errors import ConfigError, RefSavError
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearningConfig
from refsav.model.training_step.example_encoding import Prepared, UnfitExampleError, prepare
from refsav.model.training_step.parcel import pack, unpack

IN_A_ROW = 20
"""Examples that one may stand in for when the model cannot take them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an example comes from."""

    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """An example that is ready."""

    place: Place
    prepared: Prepared
    bad: tuple[BadExample, ...]
    """Those that it stands in for, and itself if it lacks something."""

    @property
    def taken(self) -> "Taken":
        """What is told of it once a step has learnt from it."""
        one = self.prepared
        return Taken(
            place=self.place,
            name=one.name,
            tokens=one.tokens,
            objects=len(one.masks),
            frames=len(one.pictures),
            bad=self.bad,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An example without its many megabytes of pictures and masks."""

    place: Place
    name: str
    tokens: int
    """Of its longest conversation."""
    objects: int
    frames: int
    """Those that SAM-2 sees."""
    bad: tuple[BadExample, ...]
    """Those that it stands in for, and itself if it lacks something."""


@dataclass(frozen=True, slots=True)
class Missing:
    """No example, and why."""

    error: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Which examples each step takes. It follows from the data alone, whatever the number of devices."""

    examples: Mixture
    batch: int
    """Examples of a step."""
    at_once: int
    """Examples of one forward pass on one device."""
    devices: int
    by_length: bool = True
    """Whether a step has examples of about one length."""

    def __post_init__(self) -> None:
        """Raise ConfigError if a step cannot be shared out, or there are fewer examples than it takes."""
        if self.batch % (self.at_once * self.devices):
            raise ConfigError(
                f"learning.batch ({self.batch}) is no multiple of learning.at_once ({self.at_once}) times the devices "
                f"({self.devices})\n  fix: set learning.batch to a multiple of {self.at_once * self.devices}"
            )
        if len(self.examples) < self.batch:
            raise ConfigError(
                f"the data has {len(self.examples)} examples, learning.batch is {self.batch}\n"
                "  fix: take a smaller batch, or more data"
            )

    @property
    def passes(self) -> int:
        """Forward passes of a device in each step."""
        return self.batch // (self.at_once * self.devices)

    @property
    def steps_an_epoch(self) -> int:
        """Steps of an epoch; what does not fill one is left for another epoch."""
        return len(self.examples) // self.batch

    def places(self, first: int, last: int, device: int) -> Iterator[list[Place]]:
        """Yield the examples of each forward pass of a device, from step `first` up to, not with, step `last`.

        Passes go round the devices, so that those that work at the same time have examples of about one length.
        """
        for step in range(first, last):
            epoch, within = divmod(step, self.steps_an_epoch)
            if within == 0 or step == first:
                order = self._order(epoch)
            chosen = order[within * self.batch : (within + 1) * self.batch].tolist()
            for start in range(device * self.at_once, self.batch, self.devices * self.at_once):
                yield [Place(epoch, position) for position in chosen[start : start + self.at_once]]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self.by_length:
            return self.examples.grouped(epoch, self.batch)
        return np.arange(len(self.examples))  # an epoch's positions are shuffled already


class _Readable(Dataset[Loaded | Missing]):
    def __init__(self, examples: Mixture, model: Sa2VA, learning: LearningConfig) -> None:
        self._examples, self._model, self._learning = examples, model, learning

    def __getitem__(self, place: Place) -> Loaded | Missing:
        try:
            return load_one(self._examples, self._model, self._learning, place)
        except RefSavError as error:  # as an error, it would lose its kind on its way out of a worker
            return Missing(str(error))


def load_one(examples: Mixture, model: Sa2VA, learning: LearningConfig, place: Place) -> Loaded:
    """Read and prepare an example; what comes after one that the model cannot take stands in for it.

    Raises:
        TooManyBadError: If many in a row cannot be used.
        RefSavError: If the model cannot take such examples at all.
    """
    bad: tuple[BadExample, ...] = ()
    for offset in range(IN_A_ROW):
        drawn = examples.draw(place.epoch, (place.position + offset) % len(examples))
        bad += drawn.bad
        try:
            return Loaded(place, prepare(model, drawn.example, learning), bad)
        except UnfitExampleError as error:
            bad = (*bad, BadExample(drawn.source, error.line))
    told = f"{IN_A_ROW} examples one after the other are not for this model, the last: {bad[-1].line}"
    fix = f"raise learning.most_tokens (is {learning.most_tokens}), or let examples have fewer frames or objects"
    raise TooManyBadError(f"{told}\n  fix: {fix}")


def load(
    plan: Plan, model: Sa2VA, learning: LearningConfig, *, first: int, last: int, device: int
) -> Iterator[list[Loaded]]:
    """Yield the examples of each forward pass of a device, read ahead by processes.

    Args:
        plan: Which they are.
        model: What they are prepared for.
        learning: How; what comes after an example that it cannot take stands in for it.
        first: Step to begin with, counted from 0.
        last: Step to end before.
        device: Number of this process among those that train.

    Raises:
        RefSavError: If examples cannot be read and none can stand in for them.
    """
    loader = DataLoader(
        _Readable(plan.examples, model, learning),
        batch_sampler=plan.places(first, last, device),
        collate_fn=pack,
        num_workers=learning.workers,
        multiprocessing_context="fork" if learning.workers else None,  # the model need not be sent to them
        worker_init_fn=_begin_reading,
    )
    for parcel in loader:
        yield [_present(one) for one in unpack(parcel)]


def _begin_reading(_: int) -> None:
    """Leave behind the threads of OpenCV, which belong to the process that forked."""
    cv2.setNumThreads(0)


def _present(one: Loaded | Missing) -> Loaded:
    if isinstance(one, Missing):
        raise RefSavError(one.error)
    return one
