"""One bundle: read its videos, draw the views, describe every object, record every loss.

Requests of many objects are in flight while the next objects are drawn; memory holds only these.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from refsav.annotators.engines.engine import ServersDownError
from refsav.annotators.stages.describe import Annotator, StageFailedError
from refsav.annotators.stages.stages import Subject
from refsav.annotators.stages.views import ViewsConfig, decode_rows, draw, fit, needed_rows
from refsav.datasets.frames import Image
from refsav.datasets.records import Dropped, Expression, Failed, ObjectKey, ObjectTrack, Stage, Unreadable, VideoFile
from refsav.datasets.sav.source import SourceConfig, VideoObjects, read_video
from refsav.datasets.statistics.camera_motion import pair_rows
from refsav.datasets.statistics.properties import MeasureConfig, VideoMeasures, measure_video
from refsav.disk.files import DiskError
from refsav.errors import RecordError


class Progress(Protocol):
    """Receives the progress of a build. Called from the thread that works on a bundle."""

    def video_read(self, objects: int, left_out: int) -> None:
        """A video's annotations have been read: number of objects that enter the stages, and of those that do not."""
        ...

    def stage_done(self, stage: Stage) -> None:
        """An object has passed a stage."""
        ...

    def object_done(self, outcome: Literal["kept", "dropped", "failed"]) -> None:
        """An object has left the stages."""
        ...


@dataclass(kw_only=True, slots=True)
class BundleOutcome:
    """The outcome of every object of a bundle; collected during the work, sorted when it is written."""

    expressions: list[Expression] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    measures: list[VideoMeasures] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleWork:
    """Everything that work on a bundle needs."""

    annotator: Annotator
    source: SourceConfig
    views: ViewsConfig
    measures: MeasureConfig
    objects_at_once: int
    """Objects drawn and waiting for replies at the same time; each holds its views, some 1 MB."""
    progress: Progress

    async def annotate(
        self,
        videos: Collection[VideoFile],
        *,
        finished: Mapping[ObjectKey, int] | None = None,
        rounds: Mapping[ObjectKey, int] | None = None,
    ) -> BundleOutcome:
        """Describe the objects of some videos.

        Args:
            videos: The bundle's videos.
            finished: Objects that an earlier round has described or dropped, and their columns; they are skipped.
            rounds: Number of earlier rounds in which an object failed.

        Raises:
            ServersDownError: If no server answers; all replies are in the journal.
            DiskError: If the journal cannot be written.
        """
        outcome = BundleOutcome()
        slots = asyncio.Semaphore(self.objects_at_once)
        try:
            async with asyncio.TaskGroup() as group:
                for video in videos:
                    await self._annotate_video(video, finished or {}, rounds or {}, outcome, slots, group)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return outcome

    async def _annotate_video(
        self,
        video: VideoFile,
        finished: Mapping[ObjectKey, int],
        rounds: Mapping[ObjectKey, int],
        outcome: BundleOutcome,
        slots: asyncio.Semaphore,
        group: asyncio.TaskGroup,
    ) -> None:
        try:
            objects = await asyncio.to_thread(read_video, video, self.source)
        except Exception as error:  # noqa: BLE001 - the error of one video is recorded, the others continue
            where = (Path(video.folder) / video.video_id).as_posix()
            outcome.unreadable.append(Unreadable(path=where, error=f"{where}: {_one_line(error, video)}"))
            objects = VideoObjects(video=video, tracks=(), dropped=(), failed=(), unreadable=())
        waiting = {track.key: track for track in objects.tracks if track.key not in finished}
        outcome.unreadable += objects.unreadable
        outcome.dropped += [entry for entry in objects.dropped if entry.track.key not in finished]
        outcome.failed += [entry for entry in objects.failed if finished.get(entry.key) != entry.column]
        self.progress.video_read(len(waiting), objects.object_count - len(waiting))
        frames = _SharedFrames(video, objects.tracks, self.views, self.measures)
        drawn = draw(frames.decoded, list(waiting.values()), self.views)
        while waiting:
            await slots.acquire()
            try:
                track, views = await asyncio.to_thread(next, drawn)
            except Exception as error:  # noqa: BLE001 - recorded too; objects that are already drawn continue
                slots.release()
                for track in waiting.values():
                    self._finish(outcome, _failed(track, "views", _one_line(error, video), "", rounds))
                break
            del waiting[track.key]
            group.create_task(self._describe(Subject(track=track, views=views), rounds, outcome, slots))
        count = objects.object_count + _count_of_lost(objects, finished)
        outcome.measures.append(await asyncio.to_thread(frames.measure, count))

    async def _describe(
        self,
        subject: Subject,
        rounds: Mapping[ObjectKey, int],
        outcome: BundleOutcome,
        slots: asyncio.Semaphore,
    ) -> None:
        track = subject.track
        try:
            result = await self.annotator.describe(subject, rounds=rounds.get(track.key, 0))
        except StageFailedError as error:
            self._finish(outcome, _failed(track, error.stage, str(error), error.request_digest, rounds))
        except (ServersDownError, DiskError):
            raise
        except Exception as error:  # noqa: BLE001 - the error of one object is recorded, the others continue
            self._finish(outcome, _failed(track, "object", f"{type(error).__name__}: {error}", "", rounds))
        else:
            self._finish(outcome, result)
        finally:
            slots.release()

    def _finish(self, outcome: BundleOutcome, result: Expression | Dropped | Failed) -> None:
        match result:
            case Expression():
                outcome.expressions.append(result)
                self.progress.object_done("kept")
            case Dropped():
                outcome.dropped.append(result)
                self.progress.object_done("dropped")
            case Failed():
                outcome.failed.append(result)
                self.progress.object_done("failed")


class _SharedFrames:
    """One decode of a video, for its objects' views and for the camera's motion."""

    def __init__(
        self, video: VideoFile, tracks: Sequence[ObjectTrack], views: ViewsConfig, measures: MeasureConfig
    ) -> None:
        self._video = video
        self._tracks = tracks
        self._measures = measures
        self._view_rows = needed_rows(tracks, views)
        self._pair_rows = frozenset(pair_rows(len(tracks[0].masks), measures.frame_pairs)) if tracks else frozenset()
        self._pairs: list[tuple[int, Image]] = []
        self.decoded = self._decode()
        """The frames that views need, in increasing order; can be iterated once."""

    def _decode(self) -> Iterator[tuple[int, Image]]:
        """Yield frames; keep small copies of those that the camera's motion is measured on."""
        if not self._tracks:
            return
        for row, frame in decode_rows(self._video, self._view_rows | self._pair_rows, self._tracks[0].frame_step):
            if row in self._pair_rows:
                self._pairs.append((row, fit(frame, self._measures.longest_side_px)))
            yield row, frame

    def measure(self, objects: int) -> VideoMeasures:
        """Measure the camera's motion; this decodes the frames after the last one that a view needs."""
        try:
            for _ in self.decoded:
                pass
            return measure_video(self._video.video_id, objects, self._pairs, self._tracks, self._measures)
        except Exception as error:  # noqa: BLE001 - the objects count even if they cannot be measured
            note = _one_line(error, self._video)
            return VideoMeasures(video_id=self._video.video_id, objects=objects, camera_speed=None, pairs=0, note=note)


def _count_of_lost(objects: VideoObjects, finished: Collection[ObjectKey]) -> int:
    """Count the objects that an earlier round has finished and that the annotations no longer list."""
    listed = {track.key for track in objects.tracks} | {entry.track.key for entry in objects.dropped}
    listed |= {entry.key for entry in objects.failed}
    return sum(key.video_id == objects.video.video_id and key not in listed for key in finished)


def _one_line(error: Exception, video: VideoFile) -> str:
    """One line for the record: our own errors without their type, all others with it."""
    line = error.line_below(video.root) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
    return line.replace("\n", " ")


def _failed(
    track: ObjectTrack,
    stage: Literal["views", "object", "judge", "scene", "video"],
    error: str,
    request_digest: str,
    rounds: Mapping[ObjectKey, int],
) -> Failed:
    return Failed(
        key=track.key,
        column=track.column,
        stage=stage,
        error=error.replace("\n", " "),
        request_digest=request_digest,
        round=rounds.get(track.key, 0),
    )
