"""A finished or growing build, opened for reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from refsav.annotators.bundles.plan import read_plan
from refsav.api.video_object import VideoObject
from refsav.datasets.records import Dropped, Expression, Failed
from refsav.datasets.run import parts
from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED, UNREADABLE, PartKind
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import read_splits
from refsav.datasets.statistics.run_statistics import Statistics, read_statistics
from refsav.errors import RecordError
from refsav.flows.config.build import BuildConfig, read_settings

if TYPE_CHECKING:
    import pandas

Split = Literal["train", "val"]
Table = Literal["expressions", "dropped", "failed", "unreadable"]

_KINDS: dict[Table, PartKind[Any]] = {
    "expressions": EXPRESSIONS,
    "dropped": DROPPED,
    "failed": FAILED,
    "unreadable": UNREADABLE,
}
_LARGE = ("masks", "areas_px")
"""Columns with a value for every frame: a table does without them."""


@dataclass(frozen=True, kw_only=True)
class RunExpression(VideoObject):
    """One expression of a run, with the object that it refers to."""

    record: Expression
    """All stages' texts, the judge's verdict, and what wrote them."""
    split: str
    """"train" or "val"; "" if the run has not been split yet."""

    @property
    def text(self) -> str:
        """The long expression."""
        return self.record.text


@dataclass(frozen=True)
class Run:
    """A run directory opened for reading; use `open_run` to make one."""

    path: Path
    source: Path
    """Folder of the videos that it describes."""
    config: BuildConfig
    """The settings that it was built with."""

    def expressions(self, split: Split | None = None) -> Iterator[RunExpression]:
        """Read the expressions, one Parquet row group (64 objects) in memory.

        Args:
            split: Only those of "train" or "val"; all by default.

        Raises:
            RecordError: If a part of the run cannot be read.
        """
        for record in parts.read_expressions(self._directory):
            video_id = record.track.video_id
            found = self._splits.get(video_id, "")
            if split is None or split == found:
                media = self._media.get(video_id, self.source / f"{video_id}.mp4")
                yield RunExpression(track=record.track, media=media, record=record, split=found)

    def dropped(self) -> Iterator[Dropped]:
        """Read the objects that a filter or the judge dropped, each with its reason. Raises RecordError."""
        return parts.read_dropped(self._directory)

    def failed(self) -> Iterator[Failed]:
        """Read the objects that could not be described, each with its error. Raises RecordError."""
        return parts.read_failed(self._directory)

    @property
    def statistics(self) -> Statistics:
        """Counts, lengths, properties, losses and costs, as in stats.json. Raises RecordError."""
        return read_statistics(self._directory)

    def to_pandas(self, table: Table = "expressions") -> "pandas.DataFrame":
        """Read one table of the run without its masks, one row per object (docs/formats.md lists the columns).

        The expressions have a column `split` in addition.

        Raises:
            RecordError: If a part of the run cannot be read.
        """
        frame = _read_table(self.path / table, _KINDS[table]).to_pandas()
        if table == "expressions":
            frame["split"] = frame["video_id"].map(self._splits).fillna("")
        return frame

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.path)

    @cached_property
    def _media(self) -> dict[str, Path]:
        plan = read_plan(self._directory, self.source)
        return {video.video_id: video.media for bundle in plan for video in bundle.videos}

    @cached_property
    def _splits(self) -> dict[str, str]:
        path = self._directory.splits
        return {video_id: one.split for video_id, one in read_splits(path).items()} if path.exists() else {}


def open_run(path: str | Path, *, source: str | Path | None = None) -> Run:
    """Open a run directory that `refsav build` or `refsav import` has written.

    Args:
        path: The run directory.
        source: Where its videos are now, if they have moved since the build.

    Raises:
        ConfigError: If the directory is not a run, or its run.toml cannot be used.
    """
    recorded, config = read_settings(RunDirectory(Path(path)))
    return Run(Path(path), recorded if source is None else Path(source), config)


def _read_table(folder: Path, kind: PartKind[Any]) -> pa.Table:
    columns = [name for name in kind.schema.names if name not in _LARGE]
    tables = [kind.schema.empty_table().select(columns)]
    for part in sorted(folder.glob("*.parquet")):
        try:
            tables.append(pq.read_table(part, columns=columns).cast(tables[0].schema))
        except (pa.ArrowException, ValueError, OSError) as error:
            fix = "run the same build again, or read the run with the version that wrote it"
            raise RecordError(part, "", f"cannot be read as a table: {error}", fix) from error
    return pa.concat_tables(tables)
