"""SA-V's training layout: `<id>.mp4` next to `<id>_manual.json` and `<id>_auto.json`, in nested folders."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.datasets.frames import MediaInfo, probe
from refsav.datasets.masks import checked_area_px
from refsav.datasets.records import Failed, ObjectKey, ObjectTrack, Rle, Source, Unreadable, VideoFile
from refsav.datasets.sav.source_folders import folders_below
from refsav.errors import RecordError

FRAME_STEP = 4
"""SA-V annotates every 4th video frame: 6 of 24 per second."""

LONGEST_SIDE_PX = 65536

VIDEO_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
ANNOTATION_NAME = re.compile(r"(?P<video_id>.+)_(?P<source>manual|auto)\.json")
DOWNLOAD_AGAIN = "download the file again; the other videos are not affected"


def discover(source: Path, sources: frozenset[Source]) -> Iterator[VideoFile | Unreadable]:
    """List the videos below `source`, folder by folder, sorted; memory holds the names of one folder at a time.

    Args:
        source: The folder of videos.
        sources: Which annotation files to take: manual, auto, or both.

    Raises:
        RecordError: If a folder cannot be listed.
    """
    for entry in folders_below(source):
        if isinstance(entry, Unreadable):
            yield entry
        else:
            folder, names = entry
            yield from _videos_in(folder, names, source, sources)


def read(video: VideoFile) -> Iterator[tuple[ObjectTrack, float] | Failed | Unreadable]:
    """Read every object of a video with its mean stability score (1 for manual masklets).

    Bad data raises no error: an object with a damaged mask, or whose video does not match, is yielded as Failed; a file
    whose objects cannot be listed is yielded as Unreadable.
    """
    for path in video.annotations:
        try:
            masklets = _Masklets.read(path, video.video_id)
        except RecordError as error:
            yield Unreadable(path=str(Path(video.folder) / path.name), error=error.line_below(video.root))
            continue
        media = _media(video, masklets)
        for column, masklet_id in enumerate(masklets.ids):
            try:
                if isinstance(media, RecordError):
                    raise media
                yield masklets.track(column, media.rate_hz / FRAME_STEP), masklets.stability(column)
            except RecordError as error:
                key = ObjectKey(video.video_id, masklets.source, masklet_id)
                yield Failed(
                    key=key, column=column, stage="source", error=error.line_below(video.root), request_digest=""
                )


@dataclass(frozen=True, slots=True)
class _Masklets:
    """One annotation file, its outer structure checked."""

    path: Path
    source: Source
    size: tuple[int, int]
    ids: tuple[int, ...]
    rows: list[list[Any]]
    scores: list[Any]

    @classmethod
    def read(cls, path: Path, video_id: str) -> "_Masklets":
        match = ANNOTATION_NAME.fullmatch(path.name)
        source: Source = "auto" if match and match["source"] == "auto" else "manual"
        content = _read_json(path)

        def need(key: str, kind: type | tuple[type, ...]) -> Any:  # noqa: ANN401 - any JSON value
            if key not in content:
                raise RecordError(path, key, "the key is missing", "write it as SA-V does, or " + DOWNLOAD_AGAIN)
            if not isinstance(content[key], kind) or isinstance(content[key], bool):
                problem = f"has the wrong type: {type(content[key]).__name__} {str(content[key])[:40]!r}"
                raise RecordError(path, key, problem, "write it as SA-V does, or " + DOWNLOAD_AGAIN)
            return content[key]

        if need("video_id", str) != video_id:
            problem = f"says {content['video_id'][:60]!r}, the file's name says {video_id!r}"
            raise RecordError(path, "video_id", problem, "give the file the name of its video")
        sides = [need(key, (int, float)) for key in ("video_height", "video_width")]
        if not all(0 < side < LONGEST_SIDE_PX for side in sides):
            raise RecordError(path, "video_height, video_width", f"are {sides}, not a video's size", DOWNLOAD_AGAIN)
        size = (int(sides[0]), int(sides[1]))
        ids = need("masklet_id", list)
        if not all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 for value in ids):
            raise RecordError(path, "masklet_id", "contains a value that is not a valid id", DOWNLOAD_AGAIN)
        rows = need("masklet", list)
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(ids):
                problem = f"has {len(row)} masks for {len(ids)} ids" if isinstance(row, list) else "is not a list"
                raise RecordError(path, f"masklet[{number}]", problem, DOWNLOAD_AGAIN)
        if not rows:
            raise RecordError(path, "masklet", "has no rows", DOWNLOAD_AGAIN)
        scores = content.get("masklet_stability_score")
        return cls(path, source, size, tuple(ids), rows, scores if isinstance(scores, list) else [])

    def track(self, column: int, rate_hz: float) -> ObjectTrack:
        """Read the masks of one object, `rate_hz` per second. A RecordError concerns this object only."""
        masklet_id = self.ids[column]
        first = self.ids.index(masklet_id)
        if first != column:
            problem = f"id {masklet_id} is already used in column {first}"
            raise RecordError(self.path, f"masklet_id[{column}]", problem, "give every object its own id")
        masks: list[Rle | None] = []
        areas: list[int] = []
        for number, row in enumerate(self.rows):
            try:
                rle = _as_rle(row[column], self.size)
                area = checked_area_px(rle)
            except ValueError as error:
                raise RecordError(self.path, f"masklet[{number}][{column}]", str(error), DOWNLOAD_AGAIN) from None
            masks.append(rle if area else None)
            areas.append(area)
        return ObjectTrack(
            video_id=self.path.name.rpartition("_")[0],
            source=self.source,
            masklet_id=masklet_id,
            column=column,
            size=self.size,
            masks=tuple(masks),
            areas_px=tuple(areas),
            frame_step=FRAME_STEP,
            rate_hz=rate_hz,
        )

    def stability(self, column: int) -> float:
        """Mean stability score of an auto masklet, fraction 0-1; 1 if the file has no score for it."""
        scores = [row[column] for row in self.scores if isinstance(row, list) and len(row) > column]
        numbers = [float(score) for score in scores if isinstance(score, int | float)]
        return sum(numbers) / len(numbers) if numbers else 1.0


def _as_rle(value: object, size: tuple[int, int]) -> Rle:
    if not isinstance(value, Mapping) or not isinstance(value.get("counts"), str):
        raise ValueError(f"is not a COCO compressed RLE: {str(value)[:40]!r}")
    found = value.get("size")
    if not isinstance(found, list) or tuple(found) != size:
        shown = "x".join(str(part) for part in found) if isinstance(found, list) else str(found)[:40]
        raise ValueError(f"mask is {shown}, the video {size[0]}x{size[1]} (height x width)")
    return Rle(size, value["counts"])


def _media(video: VideoFile, masklets: _Masklets) -> MediaInfo | RecordError:
    """Probe the video, or return the error that makes all objects of an annotation file unusable."""
    try:
        info = probe(video.media)
    except RecordError as error:
        return error
    if (info.height, info.width) != masklets.size:
        height, width = masklets.size
        problem = f"the video is {info.height}x{info.width}, its annotations {height}x{width} (height x width)"
        return RecordError(video.media, "", problem, DOWNLOAD_AGAIN)
    expected = -(-info.frame_count // FRAME_STEP)
    if len(masklets.rows) != expected:
        problem = f"has {len(masklets.rows)} rows, {info.frame_count} video frames need {expected} (every 4th)"
        fix = f"one of the two is truncated: download this file and {video.media.name} again"
        return RecordError(masklets.path, "masklet", problem, fix)
    return info


def _videos_in(
    folder: Path, names: list[str], source: Path, sources: frozenset[Source]
) -> Iterator[VideoFile | Unreadable]:
    annotations: dict[str, list[Path]] = {}
    for name in names:
        match = ANNOTATION_NAME.fullmatch(name)
        if match:
            chosen = annotations.setdefault(match["video_id"], [])
            if match["source"] in sources:
                chosen.append(folder / name)
    relative = folder.relative_to(source).as_posix()
    media = {name.removesuffix(".mp4") for name in names if name.endswith(".mp4")}
    for video_id in sorted(media | annotations.keys()):
        where = (folder / f"{video_id}.mp4").relative_to(source).as_posix()
        if not VIDEO_ID.fullmatch(video_id):
            fix = "name it with letters, digits, _ and - only; the id is used in file names and shard keys"
            yield Unreadable(path=where, error=f"{where}: {video_id!r} is not a valid video id; fix: {fix}")
        elif not annotations.get(video_id):
            kinds = " or ".join(f"{video_id}_{kind}.json" for kind in sorted(sources, reverse=True))
            fix = "add the annotations, or leave the video out"
            yield Unreadable(path=where, error=f"{where}: has no {kinds} next to it; fix: {fix}")
        else:
            yield VideoFile(
                video_id=video_id,
                media=folder / f"{video_id}.mp4",
                annotations=tuple(sorted(annotations[video_id], reverse=True)),  # manual before auto
                folder="" if relative == "." else relative,
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise RecordError(path, where, f"is not valid JSON: {error.msg}", DOWNLOAD_AGAIN) from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a number of 5,000 digits
        reason = error.strerror if isinstance(error, OSError) else error  # the text of an OSError repeats the path
        raise RecordError(path, "", f"cannot be read: {reason}", DOWNLOAD_AGAIN) from None
    if not isinstance(content, dict):
        raise RecordError(path, "", "is not a JSON object", DOWNLOAD_AGAIN)
    return content
