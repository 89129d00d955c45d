"""The data loader of a training: which examples each step takes, read and encoded by worker processes."""

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
from refsav.model.training_step.example_encoding import EncodedExample, UnfitExampleError, encode_example

MOST_SUBSTITUTES = 20
"""Examples that are tried, one after the other, where the model cannot take the first."""


@dataclass(frozen=True, slots=True)
class ExampleKey:
    """Identifies an example: the epoch, and its position in the order of that epoch."""

    epoch: int
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleInfo:
    """What reports and errors need to know of an example, without its many megabytes of frames and masks."""

    key: ExampleKey
    name: str
    tokens: int
    """Of its longest conversation."""
    objects: int
    frames: int
    """Frames that SAM-2 sees."""
    bad: tuple[BadExample, ...]
    """The examples that it replaces, and itself if a part of it could not be used."""


@dataclass(frozen=True, slots=True)
class LoadedExample:
    """An example that is ready for a forward pass."""

    key: ExampleKey
    encoded: EncodedExample
    bad: tuple[BadExample, ...]
    """The examples that it replaces, and itself if a part of it could not be used."""

    @property
    def info(self) -> ExampleInfo:
        """What is kept of it after its step."""
        return ExampleInfo(
            key=self.key,
            name=self.encoded.name,
            tokens=self.encoded.tokens,
            objects=len(self.encoded.masks),
            frames=len(self.encoded.frames),
            bad=self.bad,
        )


@dataclass(frozen=True, slots=True)
class UnreadableExample:
    """Stands for an example that cannot be read, with the reason."""

    error: str


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Which examples each step takes. It depends on the data alone, not on the number of devices."""

    examples: Mixture
    batch: int
    """Examples of a step."""
    at_once: int
    """Examples of one forward pass on one device."""
    devices: int
    by_length: bool = True
    """Whether the examples of a step have about the same length."""

    def __post_init__(self) -> None:
        """Raise ConfigError if the devices cannot share a step evenly, or there are fewer examples than a step has."""
        if self.batch % (self.at_once * self.devices):
            raise ConfigError(
                f"learning.batch ({self.batch}) is no multiple of learning.at_once ({self.at_once}) times the devices "
                f"({self.devices})",
                fix=f"set learning.batch to a multiple of {self.at_once * self.devices}",
            )
        if len(self.examples) < self.batch:
            raise ConfigError(
                f"the data has {len(self.examples)} examples, learning.batch is {self.batch}",
                fix="set a smaller learning.batch, or add data",
            )

    @property
    def passes(self) -> int:
        """Forward passes of a device in each step."""
        return self.batch // (self.at_once * self.devices)

    @property
    def steps_per_epoch(self) -> int:
        """Complete steps of an epoch; the examples that do not fill a step are left out of that epoch."""
        return len(self.examples) // self.batch

    def keys(self, first: int, last: int, device: int) -> Iterator[list[ExampleKey]]:
        """Yield the examples of each forward pass of a device.

        Passes are dealt to the devices in turn, so that passes that run at the same time have examples of about the
        same length.

        Args:
            first: First step, counted from 0.
            last: Step to stop before.
            device: Index of the device, counted from 0.
        """
        for step in range(first, last):
            epoch, within = divmod(step, self.steps_per_epoch)
            if within == 0 or step == first:
                order = self._order(epoch)
            chosen = order[within * self.batch : (within + 1) * self.batch].tolist()
            for start in range(device * self.at_once, self.batch, self.devices * self.at_once):
                yield [ExampleKey(epoch, position) for position in chosen[start : start + self.at_once]]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self.by_length:
            return self.examples.grouped(epoch, self.batch)
        return np.arange(len(self.examples))  # an epoch's positions are shuffled already


class _ExampleDataset(Dataset[LoadedExample | UnreadableExample]):
    def __init__(self, examples: Mixture, model: Sa2VA, learning: LearningConfig) -> None:
        self._examples, self._model, self._learning = examples, model, learning

    def __getitem__(self, key: ExampleKey) -> LoadedExample | UnreadableExample:
        try:
            return load_example(self._examples, self._model, self._learning, key)
        except RefSavError as error:  # raised in a worker, it would reach the training as another class
            return UnreadableExample(str(error))


def load_example(examples: Mixture, model: Sa2VA, learning: LearningConfig, key: ExampleKey) -> LoadedExample:
    """Read and encode an example; if the model cannot take it, the next one that fits replaces it.

    Args:
        examples: The data.
        model: The model that it is encoded for.
        learning: Limits and the form of conversations.
        key: Which example.

    Raises:
        TooManyBadError: If many in a row cannot be used.
        RefSavError: If the model cannot take such examples at all.
    """
    bad: tuple[BadExample, ...] = ()
    for offset in range(MOST_SUBSTITUTES):
        drawn = examples.draw(key.epoch, (key.position + offset) % len(examples))
        bad += drawn.bad
        try:
            return LoadedExample(key, encode_example(model, drawn.example, learning), bad)
        except UnfitExampleError as error:
            bad = (*bad, BadExample(drawn.source, error.line))
    raise TooManyBadError(
        f"{MOST_SUBSTITUTES} examples in a row cannot be used with this model, the last: {bad[-1].line}",
        fix=f"raise learning.most_tokens (is {learning.most_tokens}), or use fewer frames or objects per example",
    )


def load_batches(
    plan: BatchPlan, model: Sa2VA, learning: LearningConfig, *, first: int, last: int, device: int
) -> Iterator[list[LoadedExample]]:
    """Yield the examples of each forward pass of a device, read ahead by worker processes.

    Args:
        plan: Which examples each step takes.
        model: The model that they are encoded for.
        learning: Limits, the form of conversations, and the number of workers.
        first: First step, counted from 0.
        last: Step to stop before.
        device: Index of this process among those that train, counted from 0.

    Raises:
        RefSavError: If examples cannot be read and no others can replace them.
    """
    loader = DataLoader(
        _ExampleDataset(plan.examples, model, learning),
        batch_sampler=plan.keys(first, last, device),
        collate_fn=list,  # examples differ in size: the forward pass pads what it must
        num_workers=learning.workers,
        multiprocessing_context="fork" if learning.workers else None,  # the workers share the model's memory
        worker_init_fn=_prepare_worker,
    )
    for examples in loader:
        yield [_loaded(one) for one in examples]


def _prepare_worker(_: int) -> None:
    """Let OpenCV work without threads: its thread pool does not survive a fork."""
    cv2.setNumThreads(0)


def _loaded(one: LoadedExample | UnreadableExample) -> LoadedExample:
    if isinstance(one, UnreadableExample):
        raise RefSavError(one.error)
    return one
