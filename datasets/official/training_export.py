"""Export in Sa2VA's official training layout: Ref-SAV.json, as the official loader reads it."""

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
"""The loader takes every fourth video frame and requires one row of masks for each."""


def export_training(
    run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile]
) -> ExportReport:
    """Write exports/Ref-SAV.json for the training split, one video's texts in memory.

    An entry has one annotation file, so a video with manual and auto objects gets two entries; the key of the second
    ends in "_auto" (the loader uses keys only to count). Videos are in the order of the parts.

    Args:
        run: The run to export.
        splits: The split of each video, by video id.
        videos: The source video of each video id.

    Returns:
        What was exported and what was skipped.

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
            if problem := _why_skipped(videos[video_id], texts[0].frame_step):
                skipped.append(SkippedVideo(video_id=video_id, error=problem))
                continue
            for key, entry in _training_entries(videos[video_id], texts):
                entries.add(key, entry)
            names.add(video_id)
            objects += len(texts)
        entries.close()
    return ExportReport(path=path, videos=len(names), objects=objects, skipped=tuple(skipped))


def official_path(path: PurePosixPath) -> PurePosixPath:
    """Rewrite X/sav_train/X/… to sav_train/X/…, as the official loader does when it reads a path."""
    names = path.parts
    at = names.index("sav_train") if "sav_train" in names else 0
    if 0 < at < len(names) - 1 and names[at - 1] == names[at + 1]:
        return PurePosixPath(*names[: at - 1], *names[at:])
    return path


def _why_skipped(video: VideoFile, frame_step: int) -> str:
    """Return why the loader cannot read a video, in words that are the same for all such videos; "" if it can."""
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
