"""The gallery's pages of one bundle: images, previews, and the details of every object."""

import hashlib
import heapq
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from pydantic import Field

from refsav.annotators.bundles.plan import Bundle
from refsav.annotators.gallery.chunk import ChunkHead, chunk_path, is_current, pictures_in, write_chunk
from refsav.annotators.gallery.entries import Pictures, Record, chosen_for_pictures, entry_of, jpeg_size, key_of
from refsav.annotators.gallery.preview import encode_preview, outlined_frames
from refsav.annotators.stages.views import ObjectViews, ViewsConfig, decode_rows, draw, fit, needed_rows
from refsav.config import Config
from refsav.datasets.frames import Image
from refsav.datasets.media import GONE, media_size, media_sizes
from refsav.datasets.records import Failed, ObjectKey, ObjectTrack, VideoFile
from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED
from refsav.datasets.run.parts import keys_in, read_part
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, read_video
from refsav.disk.files import sha256_of, write_bytes
from refsav.errors import RecordError
from refsav.processes.cancellation import look


class ReportConfig(Config):
    """What the gallery shows."""

    max_objects: int = Field(
        10_000, ge=0, description="Objects shown with images, about 1 MB each; all others are shown as text only."
    )
    preview: bool = Field(True, description="Make a short looping video of every object with images.")
    preview_longest_side_px: int = Field(320, ge=64, description="Longest side of these videos.")
    preview_seconds: float = Field(40.0, gt=0, description="Videos are cut after so many seconds.")
    page_objects: int = Field(24, ge=1, description="Objects on one page of the gallery.")
    address: str = Field("", description="Where the gallery is served, for links to it; empty: its path is shown.")


def pictured_each(run: RunDirectory, config: ReportConfig) -> int:
    """How many objects of a bundle get images: the same number for every bundle."""
    return -(-config.max_objects // max(1, sum(1 for _ in run.bundles.glob("bundle-*.json"))))


def is_drawn(
    run: RunDirectory,
    bundle: Bundle,
    views: ViewsConfig,
    source: SourceConfig,
    config: ReportConfig,
    pictured: int,
    digest: Callable[[Path], str],
) -> bool:
    """Return whether `write_bundle` has nothing to do; `digest` gives the SHA-256 of a part. Raises RecordError."""
    chosen = _chosen(run, bundle.name, pictured)
    return is_current(chunk_path(run, bundle.name), _head(run, bundle, views, source, config, chosen, digest))


def write_bundle(
    run: RunDirectory, bundle: Bundle, views: ViewsConfig, source: SourceConfig, config: ReportConfig, pictured: int
) -> None:
    """Write the pages of one finished bundle: a folder of images for each object, and one chunk of details.

    The views are drawn again, with the bytes that the models were sent. A bundle whose parts, settings and media have
    not changed is skipped. If the source has lost a video, its existing images are kept. One video's objects are in
    memory.

    Args:
        run: The run.
        bundle: Its videos.
        views: How views are drawn.
        source: How the source is read.
        config: What the gallery shows.
        pictured: How many objects get images at most, from `pictured_each`.

    Raises:
        RecordError: If the bundle's parts cannot be read.
        DiskError: If the report cannot be written.
        StoppedError: If the process is to end; no chunk is written then.
    """
    path, chosen = chunk_path(run, bundle.name), _chosen(run, bundle.name, pictured)
    head = _head(run, bundle, views, source, config, chosen, sha256_of)
    if is_current(path, head):
        return
    media = head.media
    lost = {video_id for video_id, size in media.items() if size == GONE}
    earlier = {key: shown for key, shown in pictures_in(path) if key.video_id in lost and key in chosen}
    videos = {video.video_id: video for video in bundle.videos}

    def entries() -> Iterator[dict[str, Any]]:
        for video_id, group in groupby(_records(run, bundle.name), key=lambda record: key_of(record).video_id):
            shown = {key: one for key, one in earlier.items() if key.video_id == video_id}
            pictured = _PicturedVideo(run.report, videos.get(video_id), list(group), chosen, shown)
            yield from pictured.entries(views, source, config)

    write_chunk(path, head, entries())


class _PicturedVideo:
    """The objects of one video and their images."""

    def __init__(
        self,
        report: Path,
        video: VideoFile | None,
        records: Sequence[Record],
        chosen: frozenset[ObjectKey],
        earlier: Mapping[ObjectKey, Pictures],
    ) -> None:
        self._report = report
        self._video = video
        self._records = records
        self._chosen = chosen
        self._earlier = earlier
        """Images that cannot be drawn again: the source has lost the video."""

    def entries(self, views: ViewsConfig, source: SourceConfig, config: ReportConfig) -> Iterator[dict[str, Any]]:
        """Draw the images, then yield the entry of every object."""
        tracks = self._tracks(source)
        wanted = [track for key, track in tracks.items() if key in self._chosen and track.visible_rows]
        drawn, problem = self._draw(wanted, views, config)
        pictures = {**self._earlier, **drawn}
        self._remove_old({entry.folder for entry in pictures.values()})
        for record in self._records:
            key = key_of(record)
            track = None if _failed_at_source(record) else tracks.get(key)
            shown = pictures.get(key) if track else None
            note = "" if shown or _failed_at_source(record) else self._why_none(key, track, problem, config)
            yield entry_of(record, track, shown, note)

    def _tracks(self, source: SourceConfig) -> dict[ObjectKey, ObjectTrack]:
        tracks = {record.track.key: record.track for record in self._records if not isinstance(record, Failed)}
        missing = {key_of(record) for record in self._records if not _failed_at_source(record)} - tracks.keys()
        if missing and self._video:
            read = read_video(self._video, source).tracks
            tracks |= {track.key: track for track in read if track.key in missing}
        return tracks

    def _draw(
        self, tracks: Sequence[ObjectTrack], views: ViewsConfig, config: ReportConfig
    ) -> tuple[dict[ObjectKey, Pictures], str]:
        """Write the images of some objects, decoding the video once; return the images, and a problem or ""."""
        done: dict[ObjectKey, Pictures] = {}
        if not tracks or not self._video:
            return done, ""
        small: list[Image] = []
        film_rows = round(config.preview_seconds * tracks[0].rate_hz) if config.preview else 0
        rows = needed_rows(tracks, views) | set(range(min(film_rows, max(len(track.masks) for track in tracks))))
        problem = ""
        try:
            frames = decode_rows(self._video, rows, tracks[0].frame_step)
            frames = _keeping_small(frames, film_rows, config.preview_longest_side_px, small)
            for track, drawn in draw(frames, tracks, views):
                look()
                done[track.key] = self._write_stills(track, drawn, film=bool(film_rows))
        except RecordError as error:
            problem = error.line_below(self._video.root)
        for track in tracks:
            look()
            if small and track.key in done:
                film = encode_preview(outlined_frames(small, track), small[0].shape[:2], track.rate_hz)
                write_bytes(self._report / done[track.key].folder / "preview.mp4", film, durable=False)
        return done, problem

    def _write_stills(self, track: ObjectTrack, drawn: ObjectViews, *, film: bool) -> Pictures:
        folder = _folder_of(track.key)
        stills = {"crop": drawn.crop, "masked": drawn.masked, "scene": drawn.scene}
        stills |= {f"video-{number}": image for number, image in enumerate(drawn.video)}
        for name, image in stills.items():
            write_bytes(self._report / folder / f"{name}.jpg", image, durable=False)
        return Pictures(
            folder=folder,
            crop_size=jpeg_size(drawn.crop),
            rows=drawn.video_rows,
            visible=drawn.video_visible,
            preview=film,
        )

    def _remove_old(self, kept: set[str]) -> None:
        if not self._video:
            return
        if media_size(self._video.media) == GONE:  # they cannot be drawn again, even if no chunk names them
            kept |= {_folder_of(key) for key in self._chosen}
        for folder in self._report.glob(f"media/{self._video.video_id}/*"):
            if folder.relative_to(self._report).as_posix() not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _why_none(self, key: ObjectKey, track: ObjectTrack | None, problem: str, config: ReportConfig) -> str:
        if self._video is None or track is None:
            return "The object is not in the source any more."
        if not track.visible_rows:
            return "The object is never visible: there is nothing to show."
        if key not in self._chosen:
            return f"The report draws {config.max_objects} objects (report.max_objects); this one is text only."
        return f"The video cannot be drawn any more: {problem}"


def _folder_of(key: ObjectKey) -> str:
    return f"media/{key.video_id}/{key.source}-{key.masklet_id}"


def _failed_at_source(record: Record) -> bool:
    """True for an object that could not be read well enough to draw it: its recorded error is the reason."""
    return isinstance(record, Failed) and record.stage == "source"


def _keeping_small(
    frames: Iterable[tuple[int, Image]], film_rows: int, longest_side_px: int, small: list[Image]
) -> Iterator[tuple[int, Image]]:
    for row, frame in frames:
        if row < film_rows:
            small.append(fit(frame, longest_side_px))
        yield row, frame


def _records(run: RunDirectory, bundle: str) -> Iterator[Record]:
    """Read the outcomes of a bundle's objects, sorted by video."""
    name = f"{bundle}.parquet"
    kept = read_part(run.expressions / name, EXPRESSIONS)
    dropped = read_part(run.dropped / name, DROPPED)
    failed = read_part(run.failed / name, FAILED)
    return heapq.merge(kept, dropped, failed, key=key_of)


def _chosen(run: RunDirectory, bundle: str, limit: int) -> frozenset[ObjectKey]:
    """Choose the objects that get images."""
    name = f"{bundle}.parquet"
    kept, dropped = keys_in(run.expressions / name, EXPRESSIONS), keys_in(run.dropped / name, DROPPED)
    keys = chain(kept, dropped, keys_in(run.failed / name, FAILED))
    return chosen_for_pictures(keys, limit)


def _head(
    run: RunDirectory,
    bundle: Bundle,
    views: ViewsConfig,
    source: SourceConfig,
    config: ReportConfig,
    chosen: Collection[ObjectKey],
    digest: Callable[[Path], str],
) -> ChunkHead:
    """The current inputs of a bundle's chunk."""
    inputs = [
        [digest(folder / f"{bundle.name}.parquet") for folder in (run.expressions, run.dropped, run.failed)],
        [settings.model_dump(mode="json", exclude={"page_objects", "address"}) for settings in (views, source, config)],
        sorted(chosen),
    ]
    digested = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    return ChunkHead(name=bundle.name, inputs=digested, media=media_sizes(bundle.videos))
