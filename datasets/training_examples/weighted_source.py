"""A source of training examples and how often each epoch repeats it; the base of the configuration of a source."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_examples.example import ExampleSource
from refsav.errors import RecordError


@dataclass(frozen=True, slots=True)
class WeightedSource:
    """An open source and how often each epoch repeats it."""

    source: ExampleSource
    repeats: float = 1.0
    """4 is four times per epoch; 0.5 is half of the examples, drawn again for each epoch."""
    notes: tuple[str, ...] = ()
    """What was left out when the source was opened, one line each."""


class TrainingSourceConfig(Config):
    """Keys that every kind of source has."""

    kind: str
    """Chooses the reader: one of training_sources/registry.py. A subclass narrows it to its own literal."""
    name: str = Field("", description="Name in results and errors; empty: its kind.")
    repeats: float = Field(1.0, gt=0, description="Passes over the source per epoch: 4, or 0.5 for a random half.")

    @abstractmethod
    def open(self) -> WeightedSource:
        """Open the source.

        Raises:
            ConfigError: If a key has a value that the dataset does not have, such as an unknown split.
            RecordError: If a file is missing or is not as the dataset is published.
        """


class TemplatedSourceConfig(TrainingSourceConfig):
    """Keys of a source whose questions RefSAV writes, from question_templates.py."""

    usual_wording: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of questions and answers worded as in inference, fraction 0-1; the others vary.",
    )


def required_folder(path: str, content: str) -> Path:
    """Return a folder of a dataset, which must exist.

    Args:
        path: The folder, as the configuration has it.
        content: What the folder should hold, for the message.

    Raises:
        RecordError: If it does not exist.
    """
    folder = Path(path)
    if not folder.is_dir():
        fix = "unpack the dataset there, or correct the path; docs/training-data.md shows the expected folders"
        raise RecordError(folder, "", f"is not a folder; it should hold {content}", fix)
    return folder
