"""Export in Sa2VA's official evaluation layout: expressions, masks, and the frames on which they are scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from refsav.datasets.media import GONE
from refsav.datasets.official.evaluation_frames import frame_names, remove_other_videos, write_frames
from refsav.datasets.official.export_report import ExportReport
from refsav.datasets.records import Expression, ObjectKey, VideoFile
from refsav.datasets.review.answer_log import read_decisions
from refsav.datasets.review.decisions import Decision
from refsav.datasets.run.parts import expression_parts, expressions_of
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import SkippedVideo
from refsav.datasets.shards.reviewed_texts import ValidationKind, validation_text
from refsav.datasets.shards.splits import Assignment
from refsav.disk.files import DiskError, appearing
from refsav.disk.json_stream import JsonObject
from refsav.errors import RecordError

EVALUATION_FOLDER = "ref_sav_eval"
EXPRESSIONS_FILE = "meta_expressions_valid.json"
MASKS_FILE = "mask_dict.json"
FRAMES_FOLDER = "videos"
LONG, SHORT = 0, 1
"""`type_id` of long and of short expressions in the evaluation layout."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One expression of the layout, with the object that it refers to."""

    expression: Expression
    text: str
    type_id: int


def export_evaluation(
    run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile]
) -> ExportReport:
    """Write exports/ref_sav_eval/ for the val split, one video in memory, and remove videos that have left the split.

    The export holds the long expressions that reviewers have not rejected, with their corrections, and the short
    expressions that they have written. Objects without an expression, and videos without objects, are left out.
    Existing frames that were made from the same media are kept, also if the source has lost the media. Without a val
    video, the folder is removed.

    Args:
        run: The run to export.
        splits: The split of each video, by video id.
        videos: The source video of each video id.

    Returns:
        What was exported and what was skipped.

    Raises:
        DiskError: If a file cannot be written or removed.
        RecordError: If a part or an answer cannot be read.
    """
    folder = run.exports / EVALUATION_FOLDER
    held_out = {video_id for video_id, assignment in splits.items() if assignment.split == "val"}
    if not held_out:
        _remove(folder)
        return ExportReport(path=folder, videos=0, objects=0, skipped=())
    skipped: list[SkippedVideo] = []
    kept: list[str] = []
    exported: set[str] = set()
    count, objects = 0, 0
    decisions = read_decisions(run)
    with (
        appearing(folder / EXPRESSIONS_FILE) as meta_path,
        appearing(folder / MASKS_FILE) as masks_path,
        meta_path.open("w", encoding="ascii") as meta_stream,
        masks_path.open("w", encoding="ascii") as masks_stream,
    ):
        meta_stream.write('{"videos": ')
        meta, masks = JsonObject(meta_stream), JsonObject(masks_stream)
        for entries in _by_video(run, held_out, decisions):
            expressions = [entry.expression for entry in entries]
            video_id, indexes = expressions[0].track.video_id, _frame_indexes(expressions)
            video = videos[video_id]
            try:
                size = write_frames(video, indexes, folder / FRAMES_FOLDER)
            except RecordError as error:
                skipped.append(SkippedVideo(video_id=video_id, error=error.line_below(video.root)))
                continue
            meta.add(video_id, _video(entries, frame_names(indexes), count))
            for number, expression in enumerate(expressions, count):
                masks.add(str(number), _mask_list(expression, len(indexes)))
            exported.add(video_id)
            kept += [video_id] if size == GONE else []
            count += len(entries)
            objects += len({expression.track.key for expression in expressions})
        meta.close()
        masks.close()
        meta_stream.write("}")
    remove_other_videos(folder / FRAMES_FOLDER, exported)
    return ExportReport(path=folder, videos=len(exported), objects=objects, skipped=tuple(skipped), kept=tuple(kept))


def _remove(folder: Path) -> None:
    """Remove the export of an earlier split, so that no train video stays in the evaluation set."""
    remove_other_videos(folder / FRAMES_FOLDER, kept=())
    try:
        for name in (EXPRESSIONS_FILE, MASKS_FILE):
            (folder / name).unlink(missing_ok=True)
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise DiskError(folder, error) from error


def _by_video(
    run: RunDirectory, video_ids: set[str], decisions: Mapping[ObjectKey, Decision]
) -> Iterator[list[_Entry]]:
    for part in expression_parts(run):
        found = expressions_of(part, video_ids)
        for _, group in groupby(found, key=lambda expression: expression.track.video_id):
            if entries := list(_entries(list(group), decisions)):
                yield entries


def _entries(expressions: Sequence[Expression], decisions: Mapping[ObjectKey, Decision]) -> Iterator[_Entry]:
    """Yield the long expressions of one video, then the short ones."""
    kinds: tuple[tuple[ValidationKind, int], ...] = (("long", LONG), ("short", SHORT))
    for kind, type_id in kinds:
        for expression in expressions:
            if text := validation_text(expression, kind, decisions.get(expression.track.key)):
                yield _Entry(expression, text.text, type_id)


def _frame_indexes(expressions: Sequence[Expression]) -> list[int]:
    """Return the video frame of every annotated row."""
    rows = max(len(expression.track.masks) for expression in expressions)
    return [row * expressions[0].track.frame_step for row in range(rows)]


def _video(entries: Sequence[_Entry], frames: list[str], first_id: int) -> dict[str, object]:
    height, width = entries[0].expression.track.size
    return {
        "frames": frames,
        "height": height,
        "width": width,
        "expressions": {
            str(number): {
                "exp": entry.text,
                "anno_id": [first_id + number],
                "obj_id": [entry.expression.track.column],
                "type_id": entry.type_id,
                "source": entry.expression.track.source,
                "masklet_id": entry.expression.track.masklet_id,
            }
            for number, entry in enumerate(entries)
        },
    }


def _mask_list(expression: Expression, length: int) -> list[dict[str, object] | None]:
    masks: list[dict[str, object] | None] = [
        None if mask is None else {"size": list(mask.size), "counts": mask.counts} for mask in expression.track.masks
    ]
    return masks + [None] * (length - len(masks))
