"""Examples that the page offers: files from a folder, or a synthetic image and a synthetic video of moving shapes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.image_files import encode_jpeg, encode_png
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import compose, encode_video
from refsav.disk.files import write_bytes
from refsav.errors import RecordError
from refsav.model.media.clip import open_clip
from refsav.model.output.legend import WHITE

THUMBNAIL_PX = 160
"""Longer side."""

SUFFIXES = (".jpeg", ".jpg", ".m4v", ".mov", ".mp4", ".png", ".webm", ".webp")
MAX_EXAMPLES = 6

SCENES = SynthConfig(
    seed=7,
    height=360,
    width=540,
    frames=48,
    min_objects=4,
    max_objects=4,
    distractor_share=0,
    camera_share=0,
    late_share=0,
    leaving_share=0,
)
IMAGE_SCENE, VIDEO_SCENE = 2, 7
"""Numbers of two scenes that look good."""


@dataclass(frozen=True, slots=True)
class Example:
    """A file that a visitor can try."""

    name: str
    file: Path
    thumbnail: Path


def write_examples(folder: Path, source: Path | None) -> Iterator[Example]:
    """Write examples into a folder.

    Args:
        folder: Where the examples and their thumbnails are written.
        source: Folder whose images and videos are copied; None for the synthetic ones.

    Raises:
        RecordError: If the source folder, or a file in it, cannot be read.
        DiskError: If the folder cannot be written.
    """
    for name, file in _copied(source, folder) if source else _synthetic(folder):
        clip = open_clip(file)
        thumbnail = folder / "thumbnails" / f"{file.name}.jpg"
        write_bytes(thumbnail, _thumbnail(next(clip.frames([0]))[1], is_video=clip.count > 1), durable=False)
        yield Example(name, file, thumbnail)


def _synthetic(folder: Path) -> Iterator[tuple[str, Path]]:
    image, video = folder / "shapes.png", folder / "moving-shapes.mp4"
    frame = compose(SCENES, IMAGE_SCENE)[0].render(0)
    write_bytes(image, encode_png(frame), durable=False)
    yield "An image", image
    write_bytes(video, encode_video(compose(SCENES, VIDEO_SCENE)[0]), durable=False)
    yield "A video", video


def _copied(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    try:
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise RecordError(source, "", f"cannot be listed: {error.strerror}", "give a folder with examples") from None
    for file in files[:MAX_EXAMPLES]:
        copy = folder / file.name
        write_bytes(copy, file.read_bytes(), durable=False)
        yield file.stem, copy


def _thumbnail(frame: Image, *, is_video: bool) -> bytes:
    """Scale a frame, uint8 RGB [h, w, 3], to a JPEG; a video's gets a play button."""
    scale = THUMBNAIL_PX / max(frame.shape[:2])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if is_video:
        y, x = small.shape[0] // 2, small.shape[1] // 2
        cv2.circle(small, (x, y), 22, (14, 16, 20), -1, cv2.LINE_AA)
        triangle = np.array([(x - 7, y - 11), (x - 7, y + 11), (x + 12, y)], np.int32)
        cv2.fillPoly(small, [triangle], WHITE, cv2.LINE_AA)
    return encode_jpeg(small.astype(np.uint8, copy=False), 88)
