"""Time to draw views, compared with the bare decoder and the JPEG encoder, on one core."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import av
import cv2

from refsav.annotators.stages import views
from refsav.annotators.stages.views import ViewsConfig
from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.datasets.frames import Image
from refsav.datasets.records import ObjectTrack, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video
from refsav.errors import RecordError

VIDEO_ID = "sav_000001_head"


def measure_views(sav_data: Path, rounds: int = 7) -> Measurement:
    """Measure on SA-V's example video, all objects of both annotation files, on one pinned core.

    Raises:
        RecordError: If the folder lacks the video.
    """
    video, tracks = example(sav_data)
    config = ViewsConfig()
    rows = sorted(views.needed_rows(tracks, config))
    step = tracks[0].frame_step
    frames = list(views.decode_rows(video, rows, step))
    images = drawn_images(frames, tracks, config)
    works: dict[str, Callable[[], object]] = {
        "all views": lambda: list(views.render(video, tracks, config)),
        "whole video, OpenCV": lambda: decode_with_opencv(video.media),
        "decoding": lambda: _exhaust(views.decode_rows(video, rows, step)),
        "bare decoder": lambda: decode_bare(video.media, rows[-1] * step),
        "rendering": lambda: _exhaust(views.draw(frames, tracks, config)),
        "JPEG encoding": lambda: encode_all(images, config.jpeg_quality),
    }
    with one_core():
        taken = in_turns({name: milliseconds(work) for name, work in works.items()}, rounds)
    ms = {name: Quantity(name=name, unit="ms", rounds=figures) for name, figures in taken.items()}
    per_object = Quantity(
        name="all views, an object",
        unit="ms",
        rounds=tuple(figure / len(tracks) for figure in taken["all views"]),
    )
    return Measurement(
        title=f"views: {len(tracks)} objects of {VIDEO_ID}, one core",
        quantities=(per_object, *ms.values()),
        ratios=(
            Ratio.of(
                "decoding the video for each object, as the official loader does / all views",
                ms["whole video, OpenCV"],
                per_object,
                Bar("at least", 5.0),
            ),
            Ratio.of(
                "decoding the frames needed / the bare decoder up to the last of them",
                ms["decoding"],
                ms["bare decoder"],
                Bar("at most", 1.1),
            ),
            Ratio.of(
                "rendering / JPEG encoding of the same images",
                ms["rendering"],
                ms["JPEG encoding"],
                Bar("at most", 2.0),
            ),
        ),
        notes=(
            f"{len(rows)} of {_frame_count(video.media)} frames are needed, {len(images)} images are drawn",
            "processor time of the one core, so that other programs on it do not count",
        ),
    )


def drawn_images(
    frames: Sequence[tuple[int, Image]], tracks: Sequence[ObjectTrack], config: ViewsConfig
) -> list[Image]:
    """Draw the views and return the images that are encoded, in the BGR order that the encoder expects."""
    images: list[Image] = []

    def keep(image: Image, _quality: int) -> bytes:
        images.append(cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(image.dtype, copy=False))
        return b""

    with patch.object(views, "encode_view", keep):
        _exhaust(views.draw(frames, tracks, config))
    return images


def decode_with_opencv(media: Path) -> int:
    """Decode a complete video as the official loader does, each frame to BGR; return the number of frames."""
    capture, count = cv2.VideoCapture(str(media)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def decode_bare(media: Path, last_frame: int) -> int:
    """Decode up to a frame without converting any; return the number of decoded frames."""
    with av.open(str(media)) as container:
        for count, _ in enumerate(container.decode(video=0), start=1):
            if count > last_frame:
                return count
    raise RecordError(media, f"frame {last_frame}", "the video ends before it", "copy the file again")


def encode_all(images: Sequence[Image], quality: int) -> None:
    """Encode BGR images with the settings of views."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    for image in images:
        cv2.imencode(".jpg", image, options)


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this thread, and those that it starts, to one core."""
    cores, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    os.sched_setaffinity(0, {max(cores)})
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(threads)


def milliseconds(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Wrap a function so that it returns its processor time in milliseconds, as the mean of `times` calls."""

    def timed() -> float:
        begin = time.process_time()
        for _ in range(times):
            work()
        return 1000 * (time.process_time() - begin) / times

    return timed


def example(sav_data: Path) -> tuple[VideoFile, tuple[ObjectTrack, ...]]:
    """Find SA-V's example video and all objects in both annotation files. Raises RecordError if it is missing."""
    config = SourceConfig()
    for entry in discover(sav_data, config):
        if isinstance(entry, VideoFile) and entry.video_id == VIDEO_ID:
            return entry, tuple(read_video(entry, config).tracks)
    fix = "set REFSAV_SAV_DATA to a folder that has it"
    raise RecordError(sav_data, "", f"has no {VIDEO_ID}.mp4 with its annotations", fix)


def _frame_count(media: Path) -> int:
    return decode_with_opencv(media)


def _exhaust(frames: Iterator[object]) -> None:
    for _ in frames:
        pass
