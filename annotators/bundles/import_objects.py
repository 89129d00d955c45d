"""Objects of an existing Ref-SAV.json as the bundles and parts of a run."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from refsav.annotators.bundles.plan import Bundle, write_bundle
from refsav.annotators.stages.views import decode_rows
from refsav.datasets.official.ref_sav_import import ImportedVideo
from refsav.datasets.records import Unreadable
from refsav.datasets.run.part_schemas import FAILED, UNREADABLE
from refsav.datasets.run.parts import is_done, read_part, write_part, write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.camera_motion import pair_rows
from refsav.datasets.statistics.properties import MeasureConfig, VideoMeasures, measure_video, write_measures
from refsav.errors import RecordError


def import_to_parts(
    entries: Iterable[ImportedVideo | Unreadable],
    run: RunDirectory,
    source: Path,
    bundle_videos: int,
    measures: MeasureConfig,
) -> Iterator[str]:
    """Write bundles and parts, except for bundles that are done without failures; yield the names of all.

    Keeps one bundle in memory.

    Args:
        entries: The objects of the imported file, by video.
        run: The run to write into.
        source: Folder with the videos.
        bundle_videos: Videos in a bundle.
        measures: Thresholds of the properties that are measured.

    Raises:
        RecordError: If the imported file cannot be used.
        DiskError: If a bundle or a part cannot be written.
    """
    unreadable: list[Unreadable] = []
    videos = _readable(entries, unreadable)
    number = 0
    while members := list(islice(videos, bundle_videos)):
        bundle = Bundle(name=f"bundle-{number:06d}", videos=tuple(member.video for member in members))
        write_bundle(run, source, bundle)
        if not is_done(run, bundle.name) or any(True for _ in read_part(run.failed / f"{bundle.name}.parquet", FAILED)):
            write_measures(run, bundle.name, (_measured(member, measures) for member in members))
            write_parts(
                run,
                bundle.name,
                expressions=[one for member in members for one in member.expressions],
                dropped=[one for member in members for one in member.dropped],
                failed=[one for member in members for one in member.failed],
                unreadable=[],
            )
        yield bundle.name
        number += 1
    write_part(run.unreadable / "listing.parquet", UNREADABLE, unreadable)


def _readable(entries: Iterable[ImportedVideo | Unreadable], unreadable: list[Unreadable]) -> Iterator[ImportedVideo]:
    for entry in entries:
        if isinstance(entry, Unreadable):
            unreadable.append(entry)
        else:
            yield entry


def _measured(member: ImportedVideo, config: MeasureConfig) -> VideoMeasures:
    objects = len(member.expressions) + len(member.dropped) + len(member.failed)
    tracks = [expression.track for expression in member.expressions]
    video_id = member.video.video_id
    try:
        rows = pair_rows(len(tracks[0].masks), config.frame_pairs) if tracks else ()
        frames = decode_rows(member.video, rows, tracks[0].frame_step if tracks else 1)
        return measure_video(video_id, objects, frames, tracks, config)
    except RecordError as error:
        return VideoMeasures(
            video_id=video_id, objects=objects, camera_speed=None, pairs=0, note=error.line_below(member.video.root)
        )
