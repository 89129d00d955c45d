"""What a benchmark leaves: result.json, and what has to be the same for a run to go on where it stopped."""

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
    """What was benchmarked, on what, and how; a run with another one is another run."""

    version: str
    """Of RefSAV."""
    suite: str
    protocol: str
    dataset: str
    dataset_digest: str
    """SHA-256 over the annotation files; pictures are not in it."""
    items: int
    """Images or videos that the run goes through."""
    dataset_items: int
    """Those that the set has; more than `items` where the run was limited."""
    checkpoint: str
    """Name of its folder."""
    checkpoint_digest: str
    """SHA-256 over weights, configuration and tokenizer."""
    settings: Mapping[str, Any]
    """Of inference, as far as answers depend on them."""

    @classmethod
    def of(
        cls, suite: AnySuite, items: int, checkpoint: str, checkpoint_digest: str, settings: Mapping[str, Any]
    ) -> "Setup":
        """Describe a run."""
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
class Result:
    """A finished run. Figures are comparable if protocol and dataset digest are the same and nothing failed."""

    setup: Setup
    scores: Scores
    """In percent."""
    rows: int
    """Expressions, sentences, captions or regions that were asked for."""
    without_mask: int
    """Answers among them without any `[SEG]` where there should be one."""
    not_scored: int = 0
    """Expressions among them that are in no figure: a control has no other words for them."""
    failed: tuple[str, ...]
    """Images or videos that could not be read, one line each; nothing of them is in the figures."""

    @property
    def is_whole(self) -> bool:
        """Whether the figures are of the whole set."""
        return not self.failed and self.setup.items == self.setup.dataset_items


Kept = TypeVar("Kept", Setup, Result)

_SETUP, _RESULT = TypeAdapter(Setup), TypeAdapter(Result)


def write_setup(folder: Path, setup: Setup) -> None:
    """Tie a folder to a run, or make sure that it is this run's.

    Raises:
        ConfigError: If it holds another one; what differs is named.
        DiskError: If it cannot be written.
    """
    path = folder / SETUP
    if path.is_file():
        there, wanted = _flat(_read(path, _SETUP)), _flat(setup)
        different = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
        if different:
            changes = ", ".join(f"{key} ({_short(there.get(key))}, now {_short(wanted.get(key))})" for key in different)
            fix = "give another folder with --out, or the same checkpoint, data and options"
            raise ConfigError(f"{folder}: holds another run: {changes}\n  fix: {fix}")
        return
    write_text(path, _as_json(asdict(setup)))


def write_result(folder: Path, result: Result) -> None:
    """Write result.json. Raises DiskError."""
    write_text(folder / RESULT, _as_json(asdict(result)))


def read_result(folder: Path) -> Result:
    """Read what `write_result` has left. Raises RecordError."""
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
    told = str(value)
    return told if len(told) <= 24 else f"{told[:24]}…"
