"""Contact sheets of predicted masks: frames of some videos side by side, with the masks drawn over them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of
from refsav.benchmarks.suites.suite import AnySuite
from refsav.benchmarks.suites.video_rows import ExpressionRow
from refsav.datasets.external.referring_videos import ExpressionVideo
from refsav.datasets.image_files import encode_jpeg
from refsav.datasets.masks import decode
from refsav.datasets.records import Rle
from refsav.disk.files import write_bytes
from refsav.model.media.clip import open_frames
from refsav.model.output.contact_sheet import VideoContactSheet

FOLDER = "strips"
MOST_VIDEOS = 6
QUALITY = 88


def draw_strips(suite: AnySuite, folder: Path) -> list[Path]:
    """Draw sheets of up to MOST_VIDEOS videos, spread evenly over the suite, into RUN/strips.

    Args:
        suite: A video suite.
        folder: Folder of its finished run.

    Returns:
        Paths of the sheets.

    Raises:
        RecordError: If a frame or a part of the run cannot be read.
        DiskError: If a sheet cannot be written.
    """
    run = BenchmarkDirectory(folder)
    rows: dict[str, list[ExpressionRow]] = {}
    for row in rows_of(run, suite):
        rows.setdefault(row.video_id, []).append(row)
    indices = np.unique(np.linspace(0, len(suite.dataset) - 1, min(MOST_VIDEOS, len(suite.dataset))).round())
    return [
        _draw(video, rows[video.video_id], folder / FOLDER)
        for video in (suite.dataset.read(int(index)) for index in indices)
        if video.video_id in rows
    ]


def _draw(video: ExpressionVideo, rows: list[ExpressionRow], folder: Path) -> Path:
    clip = open_frames(video.frames, video.video_id)
    strip = VideoContactSheet(clip.count, [row.expression for row in rows])
    for index, frame in clip.frames(range(clip.count)):
        strip.add(index, frame, list(_masks(rows, index, (clip.height, clip.width))))
    path = folder / f"{video.video_id.replace('/', '-')}.jpg"
    write_bytes(path, encode_jpeg(strip.sheet(), QUALITY), durable=False)
    return path


def _masks(rows: list[ExpressionRow], index: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    for row in rows:
        counts = row.masks[index]
        yield np.zeros(size, np.bool_) if counts is None else decode(Rle(size, counts))
