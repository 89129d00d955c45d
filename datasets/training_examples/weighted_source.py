"""A source of training examples and its part in a mixture."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_examples.example import ExampleSource
from refsav.errors import RecordError


@dataclass(frozen=True, slots=True)
class Share:
    """A source, and how often an epoch goes through it."""

    source: ExampleSource
    repeats: float = 1.0
    """4 is four times; 0.5 is a half, drawn anew for each epoch."""
    notes: tuple[str, ...] = ()
    """What was left out when the source was opened, one line each."""


class ShareConfig(Config):
    """What every kind of source can be told."""

    name: str = Field("", description="What results and errors call it; empty: its kind.")
    repeats: float = Field(1.0, gt=0, description="Times an epoch goes through it: 4, or 0.5 for a random half.")

    @abstractmethod
    def open(self) -> Share:
        """Open the source.

        Raises:
            RecordError: If its folder is not as the dataset is published.
        """


class WordedConfig(ShareConfig):
    """Likewise, where the questions are ours."""

    usual_wording: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of questions and answers worded as in inference, fraction 0-1; the others vary.",
    )


def needed_folder(path: str, holds: str) -> Path:
    """Give a folder of a dataset, which must be there.

    Raises:
        RecordError: If it is not; `holds` says what should be in it.
    """
    folder = Path(path)
    if not folder.is_dir():
        fix = "unpack the dataset there, or correct the path; docs/training-data.md shows where everything lies"
        raise RecordError(folder, "", f"is no folder; it should hold {holds}", fix)
    return folder
