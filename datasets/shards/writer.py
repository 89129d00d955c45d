"""Write WebDataset shards, one at a time (docs/formats.md). The same input gives the same bytes."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from refsav.datasets.frames import decode
from refsav.datasets.media import GONE, media_sizes
from refsav.datasets.records import Expression, ObjectKey, VideoFile
from refsav.datasets.review.decisions import Decision
from refsav.datasets.run.parts import expressions_of
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import ShardEntry, ShardSet, SkippedVideo, finished_entry, write_entry
from refsav.datasets.shards.plan import ShardConfig, ShardPlan
from refsav.datasets.shards.reviewed_texts import ValidationKind, validation_text
from refsav.datasets.shards.samples import FrameEntry, Sample, SampleObject, SampleText, encode_frame, to_members
from refsav.disk.files import appearing, sha256_of
from refsav.errors import RecordError
from refsav.processes.cancellation import look

if TYPE_CHECKING:
    from webdataset.writer import TarWriter

FORMAT = 2
"""Incremented with every change of the layout, so that shards of an older version are written again."""


def finished(
    run: RunDirectory, plan: ShardPlan, config: ShardConfig, digest: Callable[[Path], str] = sha256_of
) -> ShardEntry | None:
    """Return the entry of a shard that exists and was made from the same input; None if it has to be written.

    A finished shard keeps the frames of videos whose media is gone from the source; its entry then lists them.

    Args:
        run: The run.
        plan: The shard.
        config: Content and size of shards.
        digest: Returns the SHA-256 of a part.

    Raises:
        DiskError: If the entry cannot be written.
        RecordError: If a part cannot be read.
    """
    path = run.shards / plan.shards / plan.name
    media = media_sizes(plan.videos)
    entry = finished_entry(path, _digest_of_inputs(plan, config, digest), media)
    if entry is None:
        return None
    left_out = {skipped.video_id for skipped in entry.skipped}
    kept = tuple(video_id for video_id, size in media.items() if size == GONE and video_id not in left_out)
    if kept != entry.kept:
        entry = replace(entry, kept=kept)
        write_entry(path, entry)
    return entry


def write_shard(run: RunDirectory, plan: ShardPlan, config: ShardConfig) -> ShardEntry:
    """Write one shard unless it is finished, with one video in memory.

    A video whose frames cannot be read is left out and listed in the entry.

    Raises:
        DiskError: If the shard cannot be written.
        RecordError: If a part cannot be read.
        StoppedError: If the process was asked to end; no shard is left then.
    """
    if existing := finished(run, plan, config):
        return existing
    path = run.shards / plan.shards / plan.name
    inputs, media = _digest_of_inputs(plan, config, sha256_of), media_sizes(plan.videos)
    skipped: list[SkippedVideo] = []
    samples = _samples(plan, config, skipped)
    first = next(samples, None)
    counts = [0, 0, 0]
    if first is not None:
        with appearing(path) as temporary, temporary.open("wb") as stream, _tar(stream) as tar:
            for sample in chain([first], samples):
                tar.write(to_members(sample))
                texts = sum(len(entry.texts) for entry in sample.objects)
                counts = [counts[0] + 1, counts[1] + len(sample.objects), counts[2] + texts]
    entry = ShardEntry(
        shards=plan.shards,
        name=plan.name,
        samples=counts[0],
        objects=counts[1],
        expressions=counts[2],
        size_bytes=path.stat().st_size if first else 0,
        sha256=sha256_of(path) if first else "",
        inputs=inputs,
        media=media,
        skipped=tuple(skipped),
        kept=(),
    )
    write_entry(path, entry)
    return entry


def _tar(stream: BinaryIO) -> "TarWriter":
    from webdataset.writer import (
        TarWriter,  # imports torch if it is installed, which would delay `refsav --help` by seconds
    )

    return TarWriter(stream, user="refsav", group="refsav", mode=0o644, mtime=0, encoder=False)


def _samples(plan: ShardPlan, config: ShardConfig, skipped: list[SkippedVideo]) -> Iterator[Sample]:
    files = {video.video_id: video for video in plan.videos}
    decisions = {decision.key: decision for decision in plan.decisions}
    expressions = chain.from_iterable(expressions_of(part, files.keys()) for part in plan.parts)
    for video_id, group in groupby(expressions, key=lambda expression: expression.track.video_id):
        look()
        video = files[video_id]
        texts = [(one, text) for one in group if (text := _text_of(one, plan.shards, decisions))]
        if not texts:  # the review has rejected all of them
            continue
        try:
            yield _sample(video, texts, config)
        except RecordError as error:
            skipped.append(SkippedVideo(video_id=video_id, error=error.line_below(video.root)))


def _text_of(expression: Expression, shards: ShardSet, decisions: Mapping[ObjectKey, Decision]) -> SampleText | None:
    if shards == "train":
        return SampleText(text=expression.text, kind="long", status="generated")
    kind: ValidationKind = "short" if shards == "val-short" else "long"
    return validation_text(expression, kind, decisions.get(expression.track.key))


def _sample(video: VideoFile, texts: Sequence[tuple[Expression, SampleText]], config: ShardConfig) -> Sample:
    track = texts[0][0].track
    indexes = [row * track.frame_step for row in range(max(len(entry.track.masks) for entry, _ in texts))]
    media, frames = _media(video.media, indexes, config)
    return Sample(
        video_id=video.video_id,
        size=track.size,
        rate_hz=track.rate_hz,
        frames=frames,
        objects=tuple(
            SampleObject(
                source=entry.track.source,
                masklet_id=entry.track.masklet_id,
                column=entry.track.column,
                masks=entry.track.masks,
                texts=(text,),
                provenance=entry.provenance,
            )
            for entry, text in texts
        ),
        media_kind="mp4" if config.frames == "mp4" else "mjpeg",
        media=media,
    )


def _media(media: Path, indexes: list[int], config: ShardConfig) -> tuple[bytes, tuple[FrameEntry, ...]]:
    if config.frames == "mp4":
        try:
            return media.read_bytes(), tuple(FrameEntry(index) for index in indexes)
        except OSError as error:
            raise RecordError(media, "", f"cannot be read: {error.strerror}", "restore the file") from error
    files = [encode_frame(image, config.jpeg_quality) for _, image in decode(media, indexes)]
    ends = [0]
    for file in files:
        ends.append(ends[-1] + len(file))
    entries = zip(indexes, ends, (len(file) for file in files), strict=False)
    return b"".join(files), tuple(FrameEntry(*entry) for entry in entries)


def _digest_of_inputs(plan: ShardPlan, config: ShardConfig, digest: Callable[[Path], str]) -> str:
    """Digest what may change except the media: names of the videos, bytes of the parts, decisions of the review."""
    names = [video.video_id for video in plan.videos]
    decisions = [asdict(decision) for decision in plan.decisions]
    content = [FORMAT, plan.name, config.model_dump(), names, [digest(part) for part in plan.parts], *decisions]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
