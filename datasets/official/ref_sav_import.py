"""Import of an existing Ref-SAV.json together with its SA-V folder, so that it can be sharded and measured."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, cast

from refsav.datasets.official.training_export import official_path
from refsav.datasets.records import (
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Source,
    Unreadable,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.sav.source import SourceConfig, VideoObjects, read_video
from refsav.datasets.sav.train_layout import ANNOTATION_NAME, VIDEO_ID
from refsav.errors import RecordError

EVERYTHING = SourceConfig(min_area_px=1)
"""The only filter left drops objects that are never visible, which no later step can handle."""

COLUMN = re.compile(r"0|[1-9][0-9]{0,8}")
"""An integer without leading zeros: "1" and "01" would be one object with two texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedVideo:
    """One video of a Ref-SAV.json, with every object of the file: imported, dropped or failed."""

    video: VideoFile
    expressions: tuple[Expression, ...]
    dropped: tuple[Dropped, ...]
    failed: tuple[Failed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """One entry of the file; its outer structure and its paths have been validated."""

    key: str
    video_id: str
    source: Source
    media: Path
    annotations: Path
    folder: str
    texts: Mapping[int, str]


def import_official(path: Path, sav_root: Path) -> Iterator[ImportedVideo | Unreadable]:
    """Read a Ref-SAV.json video by video, sorted by id; masks come from the SA-V files below `sav_root`.

    The complete file is parsed into memory (the published one has about 150 MB); masks are read one video at a time. An
    entry that cannot be used is yielded as Unreadable or Failed, and the others are imported. The file holds final
    expressions only, so captions of earlier stages are empty, the verdict is "consistent", and the provenance is
    "imported". `short_caps` are ignored: neither the official loader nor the paper's training uses them.

    Args:
        path: The Ref-SAV.json.
        sav_root: The folder that the paths in the file are relative to.

    Raises:
        RecordError: If the file is not JSON, or not in the layout of Ref-SAV.json.
    """
    entries: list[_Entry] = []
    seen: set[tuple[str, Source]] = set()
    for key, value in _load(path).items():
        try:
            entry = _entry(path, key, value, sav_root)
        except RecordError as error:
            yield Unreadable(path=f"{path.name}:{key}", error=error.line_below(path.parent))
            continue
        if (entry.video_id, entry.source) in seen:
            problem = f"{path.name}:{key}: is a second entry for the {entry.source} objects of {entry.video_id}"
            yield Unreadable(path=f"{path.name}:{key}", error=f"{problem}; fix: merge the two entries")
            continue
        seen.add((entry.video_id, entry.source))
        entries.append(entry)
    entries.sort(key=lambda entry: (entry.video_id, entry.source))
    provenance = Provenance(vlm=f"imported:{path.name}", judge=f"imported:{path.name}", prompts="")
    for _, group in groupby(entries, key=lambda entry: entry.video_id):
        yield _import_video(list(group), provenance)


def _import_video(entries: list[_Entry], provenance: Provenance) -> ImportedVideo:
    video = VideoFile(
        video_id=entries[0].video_id,
        media=entries[0].media,
        annotations=tuple(entry.annotations for entry in entries),
        folder=entries[0].folder,
    )
    objects = read_video(video, EVERYTHING)
    expressions: list[Expression] = []
    dropped: list[Dropped] = []
    failed: list[Failed] = []
    for entry in entries:
        for column, text in sorted(entry.texts.items()):
            found = _find(objects, entry, column)
            if isinstance(found, ObjectTrack) and not text.strip():
                error = (
                    f"{entry.key}.objects.{column}: has no text under 'formated'; fix: write one, or remove the object"
                )
                found = Failed(key=found.key, column=column, stage="source", error=error, request_digest="")
            match found:
                case ObjectTrack():
                    expressions.append(_expression(found, text, provenance))
                case Dropped():
                    dropped.append(found)
                case Failed():
                    failed.append(found)
    return ImportedVideo(video=video, expressions=tuple(expressions), dropped=tuple(dropped), failed=tuple(failed))


def _find(objects: VideoObjects, entry: _Entry, column: int) -> ObjectTrack | Dropped | Failed:
    for track in objects.tracks:
        if (track.source, track.column) == (entry.source, column):
            return track
    for dropped in objects.dropped:
        if (dropped.track.source, dropped.track.column) == (entry.source, column):
            return dropped
    for failed in objects.failed:
        if (failed.key.source, failed.column) == (entry.source, column):
            return failed
    errors = [bad.error for bad in objects.unreadable if bad.path.endswith(entry.annotations.name)]
    problem, fix = f"has no column {column}", "use the SA-V files that the expressions were made for"
    if not entry.annotations.exists():
        errors, problem = [], "there is no such file"
        fix = "put it there, or give the folder that the paths of the Ref-SAV.json are relative to"
    missing = RecordError(entry.annotations, "", problem, fix).line_below(objects.video.root)
    key = ObjectKey(entry.video_id, entry.source, column)  # the id is unknown without the annotations
    return Failed(key=key, column=column, stage="source", error=(errors or [missing])[0], request_digest="")


def _expression(track: ObjectTrack, text: str, provenance: Provenance) -> Expression:
    return Expression(
        track=track,
        captions=ObjectCaptions(crop="", masked=""),
        verdict=Verdict(consistent=True, confidence=1.0, reason=""),
        scene=SceneCaption(text=""),
        video=VideoCaption(text=text),
        provenance=provenance,
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RecordError(path, "", "there is no such file", "give a Ref-SAV.json") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(path, "", f"cannot be read as JSON: {error}", "download the file again") from None
    if not isinstance(content, dict):
        raise RecordError(path, "", "is not a JSON object of videos", "give a file in the layout of Ref-SAV.json")
    if set(content) == {"videos"}:
        fix = "give Ref-SAV.json, the training file; the evaluation set has another layout"
        raise RecordError(path, "videos", "is a wrapper that Ref-SAV.json does not have", fix)
    return content


def _entry(path: Path, key: str, value: object, sav_root: Path) -> _Entry:
    fix = "correct this entry; the others are not affected"
    if not isinstance(value, dict) or not isinstance(value.get("objects"), dict):
        raise RecordError(path, key, "is not an entry with video_path, anno_path and objects", fix)
    video_path = _safe(path, f"{key}.video_path", value.get("video_path"))
    anno_path = _safe(path, f"{key}.anno_path", value.get("anno_path"))
    match = ANNOTATION_NAME.fullmatch(anno_path.name)
    if video_path.suffix != ".mp4" or not VIDEO_ID.fullmatch(video_path.stem):
        raise RecordError(path, f"{key}.video_path", f"{video_path.name[:60]!r} is not the mp4 of a video id", fix)
    if not match or match["video_id"] != video_path.stem:
        problem = f"{anno_path.name[:60]!r} is not {video_path.stem}_manual.json or _auto.json"
        raise RecordError(path, f"{key}.anno_path", problem, fix)
    media = _below(sav_root, video_path)
    folder = media.parent.relative_to(sav_root).as_posix()
    return _Entry(
        key=key,
        video_id=video_path.stem,
        source=cast(Source, match["source"]),
        media=media,
        annotations=_below(sav_root, anno_path),
        folder="" if folder == "." else folder,
        texts=dict(_text(path, key, column, entry) for column, entry in value["objects"].items()),
    )


def _text(path: Path, key: str, column: str, entry: object) -> tuple[int, str]:
    """Return column and text of one object; the text is empty if the entry has none."""
    if not COLUMN.fullmatch(column):
        fix = "correct this entry; the others are not affected"
        raise RecordError(path, f"{key}.objects.{column[:20]}", "the object's key is not a column number", fix)
    text = entry.get("formated") if isinstance(entry, dict) else None
    return int(column), text if isinstance(text, str) else ""


def _safe(path: Path, where: str, value: object) -> PurePosixPath:
    if not isinstance(value, str) or not value:
        raise RecordError(path, where, "is not a path", "write the path below the SA-V folder")
    relative = PurePosixPath(value)
    parts = relative.parts
    if not parts or relative.is_absolute() or ".." in parts or "\\" in value or "\0" in value or ":" in parts[0]:
        raise RecordError(
            path, where, f"{value[:80]!r} leads out of the SA-V folder", "write the path below that folder"
        )
    return relative


def _below(sav_root: Path, relative: PurePosixPath) -> Path:
    """Resolve a path as the official loader does; if no such file exists, as it is written."""
    rewritten = sav_root / official_path(relative)
    return rewritten if rewritten.exists() or not (sav_root / relative).exists() else sav_root / relative
