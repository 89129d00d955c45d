"""Parquet parts, the output of one bundle: written atomically, read object by object (docs/formats.md)."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refsav.datasets.records import Dropped, Expression, Failed, ObjectKey, Unreadable
from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED, UNREADABLE, PartKind, Record, object_key
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import appearing
from refsav.errors import RecordError

ROWS_PER_GROUP = 64
"""Objects per Parquet row group: a reader holds one group (about 100 KB an object) at a time."""


class ExpressionText(NamedTuple):
    """An expression without its masks, for uses that need only the text."""

    key: ObjectKey
    column: int
    """Index in SA-V's masklet[row]."""
    frame_step: int
    """Video frames from one annotated frame to the next."""
    text: str
    """The long expression."""


def write_parts(
    run: RunDirectory,
    bundle: str,
    *,
    expressions: Iterable[Expression],
    dropped: Iterable[Dropped],
    failed: Iterable[Failed],
    unreadable: Iterable[Unreadable],
) -> None:
    """Write the four parts of a bundle, `failed` last: once that file exists the bundle is done.

    The same records give the same bytes in any order.

    Args:
        run: The run.
        bundle: The bundle's name, for example "bundle-000003".
        expressions: Objects that passed all stages.
        dropped: Objects that a filter or the judge dropped.
        failed: Objects that could not be described.
        unreadable: Files whose objects could not be listed.

    Raises:
        DiskError: If a part cannot be written.
    """
    name = f"{bundle}.parquet"
    write_part(run.expressions / name, EXPRESSIONS, expressions)
    write_part(run.dropped / name, DROPPED, dropped)
    write_part(run.unreadable / name, UNREADABLE, unreadable)
    write_part(run.failed / name, FAILED, failed)


def is_done(run: RunDirectory, bundle: str) -> bool:
    """Return whether a bundle's last part exists."""
    return (run.failed / f"{bundle}.parquet").is_file()


def read_expressions(run: RunDirectory) -> Iterator[Expression]:
    """Read every expression of a run, part by part in sorted order, one row group in memory. Raises RecordError."""
    return _read_folder(run.expressions, EXPRESSIONS)


def read_dropped(run: RunDirectory) -> Iterator[Dropped]:
    """Read every dropped object of a run. Raises RecordError."""
    return _read_folder(run.dropped, DROPPED)


def read_failed(run: RunDirectory) -> Iterator[Failed]:
    """Read every failed object of a run. Raises RecordError."""
    return _read_folder(run.failed, FAILED)


def read_unreadable(run: RunDirectory) -> Iterator[Unreadable]:
    """Read every unreadable file of a run. Raises RecordError."""
    return _read_folder(run.unreadable, UNREADABLE)


def expression_parts(run: RunDirectory) -> list[Path]:
    """List the parts that hold expressions, sorted by name."""
    return sorted(run.expressions.glob("*.parquet"))


def expressions_of(part: Path, videos: Collection[str]) -> Iterator[Expression]:
    """Read the expressions of some videos; row groups without these videos are not loaded. Raises RecordError."""
    return _read_rows(part, EXPRESSIONS, videos)


def videos_in(part: Path) -> list[str]:
    """List the video ids of one part of expressions, sorted; reads no masks. Raises RecordError."""
    return sorted(set(_open(part, EXPRESSIONS).read(columns=["video_id"]).column(0).to_pylist()))


def keys_in(part: Path, kind: PartKind[Any]) -> list[ObjectKey]:
    """List the objects of one part of expressions, dropped or failed; reads no masks. Raises RecordError."""
    return [object_key(row) for row in _open(part, kind).read(columns=list(ObjectKey._fields)).to_pylist()]


def read_texts(run: RunDirectory) -> Iterator[ExpressionText]:
    """Read the text of every expression; reads no masks. Raises RecordError."""
    columns = ["video_id", "source", "masklet_id", "column", "frame_step", "expression"]
    for part in expression_parts(run):
        for batch in _open(part, EXPRESSIONS).iter_batches(ROWS_PER_GROUP, columns=columns):
            for row in batch.to_pylist():
                yield ExpressionText(object_key(row), row["column"], row["frame_step"], row["expression"])


def write_part(path: Path, kind: PartKind[Record], records: Iterable[Record]) -> None:
    """Write one part atomically, rows sorted. Raises DiskError."""
    rows = sorted(map(kind.to_row, records), key=lambda row: [row[name] for name in kind.sort_by])
    with appearing(path) as temporary, pq.ParquetWriter(temporary, kind.schema, compression="zstd") as writer:
        for start in range(0, len(rows), ROWS_PER_GROUP):
            writer.write_table(pa.Table.from_pylist(rows[start : start + ROWS_PER_GROUP], schema=kind.schema))


def read_part(path: Path, kind: PartKind[Record]) -> Iterator[Record]:
    """Read one part, one row group in memory. Raises RecordError."""
    return _read_rows(path, kind, None)


def _read_folder(folder: Path, kind: PartKind[Record]) -> Iterator[Record]:
    for part in sorted(folder.glob("*.parquet")):
        yield from read_part(part, kind)


def _read_rows(path: Path, kind: PartKind[Record], videos: Collection[str] | None) -> Iterator[Record]:
    file = _open(path, kind)
    wanted = None if videos is None else pa.array(sorted(videos), pa.string())
    for group in range(file.num_row_groups):
        try:
            if wanted is not None:
                chosen = pc.is_in(file.read_row_group(group, columns=["video_id"]).column(0), value_set=wanted)
                if not pc.any(chosen).as_py():
                    continue
                rows = file.read_row_group(group).filter(chosen)
            else:
                rows = file.read_row_group(group)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, f"row group {group}", error) from error
        for row in rows.to_pylist():
            yield kind.from_row(row)


def _open(path: Path, kind: PartKind[Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "", error) from error
    if not file.schema_arrow.equals(kind.schema):
        different = sorted({str(field) for field in file.schema_arrow} ^ {str(field) for field in kind.schema})
        problem = f"has other columns than this version of refsav writes: {', '.join(different)}"
        raise RecordError(path, "schema", problem, "build the run again into a new folder, or use the older version")
    return file


def _damaged(path: Path, where: str, error: Exception) -> RecordError:
    return RecordError(path, where, f"is not a readable Parquet part: {error}", _repair(path))


def _repair(path: Path) -> str:
    """Return the fix that makes the next command rewrite a damaged file."""
    if path == RunDirectory(path.parent).splits:
        effect = "all videos keep their split, except one marked `only`, which may change if the run has grown"
        return f"delete it and run the same command again: {effect}"
    if not path.stem.startswith("bundle-"):
        return "delete it and run the same command again, which rewrites it"
    run = RunDirectory(path.parent.parent)
    marks = [mark for mark in run.failed.glob(f"{path.stem}.*") if mark.suffix in (".parquet", ".retry")]
    deletion = f"delete {' and '.join(map(str, sorted(marks)))}, then " if marks else ""
    if (run.journal / f"{path.stem}.jsonl").is_file():
        return f"{deletion}run the same build again: the bundle's replies are in the journal"
    return f"{deletion}run the same import again, which rewrites the bundle"
