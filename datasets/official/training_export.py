"""Export in the official training layout: Ref-SAV.json as the Sa2VA loader reads it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import PurePosixPath

from refsav.datasets.official.export_report import ExportReport
from refsav.datasets.records import Source, VideoFile
from refsav.datasets.run.parts import ExpressionText, read_texts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import SkippedVideo
from refsav.datasets.shards.splits import Assignment
from refsav.disk.files import appearing
from refsav.disk.json_stream import JsonObject

TRAINING_FILE = "Ref-SAV.json"
LOADER_FRAME_STEP = 4
"""The loader takes every fourth video frame and wants one row of masks for each."""


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
        entries = JsonObject(stream)
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


def official_path(path: PurePosixPath) -> PurePosixPath:
    """Write X/sav_train/X/… as sav_train/X/…, as the loader does when it reads."""
    parts = path.parts
    place = parts.index("sav_train") if "sav_train" in parts else 0
    if 0 < place < len(parts) - 1 and parts[place - 1] == parts[place + 1]:
        return PurePosixPath(*parts[: place - 1], *parts[place:])
    return path


def _no_place_for(video: VideoFile, frame_step: int) -> str:
    """Say why the loader could not read a video, in words that fit all such videos; empty when it can."""
    if video.media.suffix != ".mp4":
        return f"the source is folders of frames; {TRAINING_FILE} names mp4 files"
    if frame_step != LOADER_FRAME_STEP:
        return f"annotated every {frame_step} frames; the loader takes every {LOADER_FRAME_STEP}th"
    if PurePosixPath(video.folder).parts.count("sav_train") > 1:
        return f"{video.folder}: has two folders named sav_train in its path, which the loader refuses"
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
