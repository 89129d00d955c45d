"""Export in the official layouts: Ref-SAV.json as the Sa2VA loader reads it, and its evaluation set."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from refsav.datasets.frames import decode
from refsav.datasets.parts import ExpressionText, expression_parts, expressions_of, read_texts
from refsav.datasets.records import Expression, Source, VideoFile
from refsav.datasets.run import RunDirectory
from refsav.datasets.samples import encode_jpeg
from refsav.datasets.shard_index import SkippedVideo
from refsav.datasets.splits import Assignment
from refsav.errors import RecordError
from refsav.files import appearing, write_bytes

TRAINING_FILE = "Ref-SAV.json"
EVALUATION_FOLDER = "ref_sav_eval"
EXPRESSIONS_FILE = "meta_expressions_valid.json"
MASKS_FILE = "mask_dict.json"
LOADER_FRAME_STEP = 4
"""The loader takes every fourth video frame and wants one row of masks for each."""
LONG, SHORT = 0, 1
"""type_id of the evaluation layout."""
EVALUATION_JPEG_QUALITY = 95
"""High, since masks are scored against what these frames show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export holds, and which videos the layout has no place for."""

    path: Path
    videos: int
    objects: int
    skipped: tuple[SkippedVideo, ...]


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def export_training(
    run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile]
) -> ExportReport:
    """Write exports/Ref-SAV.json for the training split; one video's texts in memory.

    An entry has one annotation file, so a video with manual and auto objects gets two: the second one's key ends in
    "_auto" (the loader uses keys only to count). Videos come in the order of the parts.

    Raises:
        DiskError: If the file cannot be written.
        RecordError: If a part cannot be read.
    """
    path = run.exports / TRAINING_FILE
    skipped: list[SkippedVideo] = []
    names: set[str] = set()
    objects = 0
    with appearing(path) as temporary, temporary.open("w", encoding="ascii") as stream:
        entries = _JsonObject(stream)
        for video_id, group in groupby(read_texts(run), key=lambda text: text.key.video_id):
            if splits[video_id].split != "train":
                continue
            texts = list(group)
            if problem := _no_place_for(videos[video_id], texts[0].frame_step):
                skipped.append(SkippedVideo(video_id=video_id, error=problem))
                continue
            for key, entry in _training_entries(videos[video_id], texts):
                entries.add(key, entry)
            names.add(video_id)
            objects += len(texts)
        entries.close()
    return ExportReport(path=path, videos=len(names), objects=objects, skipped=tuple(skipped))


def export_evaluation(
    run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile]
) -> ExportReport:
    """Write exports/ref_sav_eval/ for the val split, one video in memory; nothing is written when it has no video.

    Raises:
        DiskError: If a file cannot be written.
        RecordError: If a part cannot be read.
    """
    folder = run.exports / EVALUATION_FOLDER
    held_out = {video_id for video_id, assignment in splits.items() if assignment.split == "val"}
    skipped: list[SkippedVideo] = []
    if not held_out:
        return ExportReport(path=folder, videos=0, objects=0, skipped=())
    counts = [0, 0]
    with (
        appearing(folder / EXPRESSIONS_FILE) as meta_path,
        appearing(folder / MASKS_FILE) as masks_path,
        meta_path.open("w", encoding="ascii") as meta_stream,
        masks_path.open("w", encoding="ascii") as masks_stream,
    ):
        meta_stream.write('{"videos": ')
        meta, masks = _JsonObject(meta_stream), _JsonObject(masks_stream)
        for expressions in _by_video(run, held_out):
            video_id = expressions[0].track.video_id
            try:
                frames = _write_frames(videos[video_id], expressions, folder / "videos" / video_id)
            except RecordError as error:
                skipped.append(SkippedVideo(video_id=video_id, error=error.line))
                continue
            meta.add(video_id, _evaluation_entry(expressions, frames, counts[1]))
            for number, expression in enumerate(expressions, counts[1]):
                masks.add(str(number), _mask_list(expression, len(frames)))
            counts = [counts[0] + 1, counts[1] + len(expressions)]
        meta.close()
        masks.close()
        meta_stream.write("}")
    return ExportReport(path=folder, videos=counts[0], objects=counts[1], skipped=tuple(skipped))


class _JsonObject:
    """A JSON object written entry by entry. ASCII only: the loader opens files in the machine's own encoding."""

    def __init__(self, stream: _Writable) -> None:
        self._stream = stream
        self._separator = "{\n"

    def add(self, key: str, value: object) -> None:
        self._stream.write(f"{self._separator}{json.dumps(key)}: {json.dumps(value)}")
        self._separator = ",\n"

    def close(self) -> None:
        self._stream.write("\n}" if self._separator == ",\n" else "{}")


def official_path(path: PurePosixPath) -> PurePosixPath:
    """Write X/sav_train/X/… as sav_train/X/…, as the loader does when it reads."""
    parts = path.parts
    place = parts.index("sav_train") if "sav_train" in parts else 0
    if 0 < place < len(parts) - 1 and parts[place - 1] == parts[place + 1]:
        return PurePosixPath(*parts[: place - 1], *parts[place:])
    return path


def _no_place_for(video: VideoFile, frame_step: int) -> str:
    """Say why the loader could not read a video; empty when it can."""
    if video.media.is_dir():
        return f"{video.media}: is a folder of frames; {TRAINING_FILE} names mp4 files"
    if frame_step != LOADER_FRAME_STEP:
        return f"{video.media}: is annotated every {frame_step} frames; the loader takes every {LOADER_FRAME_STEP}th"
    if PurePosixPath(video.folder).parts.count("sav_train") > 1:
        return f"{video.media}: has two folders named sav_train in its path, which the loader refuses"
    return ""


def _training_entries(video: VideoFile, texts: Iterable[ExpressionText]) -> Iterator[tuple[str, dict[str, object]]]:
    by_source: dict[Source, list[ExpressionText]] = {"manual": [], "auto": []}
    for text in texts:
        by_source[text.key.source].append(text)
    folder = PurePosixPath(video.folder)
    for source, members in by_source.items():
        if not members:
            continue
        key = f"{video.video_id}_auto" if source == "auto" and by_source["manual"] else video.video_id
        yield (
            key,
            {
                "video_path": str(official_path(folder / video.media.name)),
                "anno_path": str(official_path(folder / f"{video.video_id}_{source}.json")),
                "objects": {
                    str(text.column): {"formated": text.text, "short_caps": []}
                    for text in sorted(members, key=lambda text: text.column)
                },
            },
        )


def _by_video(run: RunDirectory, video_ids: set[str]) -> Iterator[list[Expression]]:
    for part in expression_parts(run):
        found = expressions_of(part, video_ids)
        for _, group in groupby(found, key=lambda expression: expression.track.video_id):
            yield list(group)


def _write_frames(video: VideoFile, expressions: list[Expression], folder: Path) -> list[str]:
    """Write the annotated frames as JPEG; give their names, which sort as they follow each other."""
    rows = max(len(expression.track.masks) for expression in expressions)
    indexes = [row * expressions[0].track.frame_step for row in range(rows)]
    digits = max(5, len(str(indexes[-1])))
    names = [f"{index:0{digits}d}" for index in indexes]
    for name, (_, image) in zip(names, decode(video.media, indexes), strict=True):
        write_bytes(folder / f"{name}.jpg", encode_jpeg(image, EVALUATION_JPEG_QUALITY), durable=False)
    return names


def _evaluation_entry(expressions: list[Expression], frames: list[str], first_id: int) -> dict[str, object]:
    height, width = expressions[0].track.size
    return {
        "frames": frames,
        "height": height,
        "width": width,
        "expressions": {
            str(place): {
                "exp": expression.text,
                "anno_id": [first_id + place],
                "obj_id": [expression.track.column],
                "type_id": LONG,
                "source": expression.track.source,
                "masklet_id": expression.track.masklet_id,
            }
            for place, expression in enumerate(expressions)
        },
    }


def _mask_list(expression: Expression, length: int) -> list[dict[str, object] | None]:
    masks: list[dict[str, object] | None] = [
        None if mask is None else {"size": list(mask.size), "counts": mask.counts} for mask in expression.track.masks
    ]
    return masks + [None] * (length - len(masks))
