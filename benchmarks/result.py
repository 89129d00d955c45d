"""Files of a benchmark run: result.json, and run.json, which must match for a run to be resumed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from refsav import __version__
from refsav.benchmarks.suites.suite import AnySuite, Scores
from refsav.disk.files import digest_of, write_text
from refsav.errors import ConfigError, RecordError

RESULT, SETUP = "result.json", "run.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a run evaluates, on which data and how. A run is resumed only with an equal setup."""

    version: str
    """Version of RefSAV."""
    suite: str
    protocol: str
    dataset: str
    dataset_digest: str
    """SHA-256 over the annotation files; images are not included."""
    items: int
    """Number of images or videos in the run."""
    dataset_items: int
    """Number of images or videos in the dataset; more than `items` if the run was limited."""
    checkpoint: str
    """Name of its folder."""
    checkpoint_digest: str
    """SHA-256 over weights, configuration and tokenizer."""
    settings: Mapping[str, Any]
    """Settings of inference that answers depend on."""

    @classmethod
    def of(
        cls, suite: AnySuite, items: int, checkpoint: str, checkpoint_digest: str, settings: Mapping[str, Any]
    ) -> "Setup":
        """Describe a run.

        Args:
            suite: The suite, opened on its dataset.
            items: Number of images or videos to use.
            checkpoint: Name of the checkpoint's folder.
            checkpoint_digest: Its SHA-256.
            settings: Settings of inference that answers depend on.
        """
        return cls(
            version=__version__,
            suite=suite.name,
            protocol=suite.protocol,
            dataset=suite.dataset.name,
            dataset_digest=digest_of(suite.dataset.files),
            items=items,
            dataset_items=len(suite.dataset),
            checkpoint=checkpoint,
            checkpoint_digest=checkpoint_digest,
            settings=settings,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkResult:
    """Result of a finished run. Scores are comparable if protocol and dataset digest are equal and nothing failed."""

    setup: Setup
    scores: Scores
    """In percent."""
    rows: int
    """Number of prompts: expressions, sentences, images or regions."""
    without_mask: int
    """Answers that lack a `[SEG]`."""
    not_scored: int = 0
    """Expressions that are in no score: their video has no other expression for the control."""
    failed: tuple[str, ...]
    """Images or videos that could not be used, one line each; the scores leave them out."""

    @property
    def is_whole(self) -> bool:
        """Whether the scores cover the complete dataset."""
        return not self.failed and self.setup.items == self.setup.dataset_items


Kept = TypeVar("Kept", Setup, BenchmarkResult)

_SETUP, _RESULT = TypeAdapter(Setup), TypeAdapter(BenchmarkResult)


def write_setup(folder: Path, setup: Setup) -> None:
    """Write run.json, or check that an existing one is equal.

    Raises:
        ConfigError: If the folder holds another run; the message lists the differences.
        RecordError: If the existing file cannot be read.
        DiskError: If the file cannot be written.
    """
    path = folder / SETUP
    if path.is_file():
        there, wanted = _flat(_read(path, _SETUP)), _flat(setup)
        different = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
        if different:
            changes = ", ".join(f"{key} ({_short(there.get(key))}, now {_short(wanted.get(key))})" for key in different)
            fix = "give another folder with --out, or the same checkpoint, data and options"
            raise ConfigError(f"holds another run: {changes}", fix=fix, path=folder)
        return
    write_text(path, _as_json(asdict(setup)))


def write_result(folder: Path, result: BenchmarkResult) -> None:
    """Write result.json. Raises DiskError."""
    write_text(folder / RESULT, _as_json(asdict(result)))


def read_result(folder: Path) -> BenchmarkResult:
    """Read result.json. Raises RecordError."""
    return _read(folder / RESULT, _RESULT)


def _read(path: Path, kind: TypeAdapter[Kept]) -> Kept:
    try:
        return kind.validate_json(path.read_bytes())
    except OSError as error:
        fix = "give the folder of a finished run"
        raise RecordError(path, "", f"cannot be read: {error.strerror}", fix) from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RecordError(
            path, where, "is not what refsav bench writes", "delete the folder and run it again"
        ) from None


def _flat(setup: Setup) -> dict[str, Any]:
    named = asdict(setup)
    settings = named.pop("settings")
    return {**named, **{f"settings.{key}": value for key, value in settings.items()}}


def _as_json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:24]}…"
