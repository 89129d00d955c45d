"""The images that the stages show to the VLM (Sa2VA, section 3.3): crop, masked frame, outlined frame, outlined video.

A video is decoded once for all of its objects; the same input gives the same bytes.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from refsav.config import Config
from refsav.datasets.frames import Image, decode
from refsav.datasets.image_files import encode_jpeg
from refsav.datasets.masks import box
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import ObjectTrack, Rle, VideoFile

OUTLINE_RGB = (255, 255, 0)
"""The paper's yellow."""

PAINTED_OVER_RGB = (127, 127, 127)
"""Flat grey: unlike black or white, hardly any object is entirely of this colour."""


class ViewsConfig(Config):
    """How views are drawn and encoded."""

    frames: int = Field(8, ge=1, description="Frames sampled uniformly over the video and shown to the video stage.")
    longest_side_px: int = Field(
        1024, ge=64, description="Larger images are scaled down to this side; none is scaled up."
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="JPEG quality of every view (colour is not subsampled).")
    crop_margin: float = Field(
        0.2, ge=0, description="Context around the object's box in the crop, as a share of the box's longer side."
    )
    outline_share: float = Field(
        0.006, gt=0, description="Width of the outline as a share of the image's longer side, at least 2 pixels."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectViews:
    """All views of one object, as JPEG files."""

    crop: bytes
    """Largest-area frame, cropped to the object and some context; no pixel changed."""
    masked: bytes
    """Largest-area frame, everything but the object painted over."""
    scene: bytes
    """Largest-area frame with the object outlined."""
    video: tuple[bytes, ...]
    """Frames uniform over the video with the object outlined; no outline where it is hidden."""
    video_rows: tuple[int, ...]
    """Annotated frame of each image in `video`."""
    video_visible: tuple[bool, ...]
    """Whether the object is visible in each image of `video`."""


def sampled_rows(row_count: int, frames: int) -> tuple[int, ...]:
    """Annotated frames spread uniformly from the first to the last; fewer for a video that has fewer."""
    rows = np.linspace(0, row_count - 1, min(frames, row_count))
    return tuple(int(row) for row in np.round(rows))


def render(
    video: VideoFile, tracks: Sequence[ObjectTrack], config: ViewsConfig
) -> Iterator[tuple[ObjectTrack, ObjectViews]]:
    """Draw the views of some objects of one video, decoding each needed frame once.

    An object is yielded as soon as the last frame that it needs has been decoded.

    Raises:
        RecordError: If a frame cannot be decoded.
    """
    rows = needed_rows(tracks, config)
    return draw(decode_rows(video, rows, tracks[0].frame_step if tracks else 1), tracks, config)


def needed_rows(tracks: Sequence[ObjectTrack], config: ViewsConfig) -> set[int]:
    """Annotated frames in which some object has a view."""
    return {row for track in tracks for row in _rows_of(track, config)}


def decode_rows(video: VideoFile, rows: Collection[int], frame_step: int) -> Iterator[tuple[int, Image]]:
    """Yield (row, uint8 RGB [H, W, 3]) for annotated frames, in increasing order. Raises RecordError."""
    for index, frame in decode(video.media, [row * frame_step for row in rows]):
        yield index // frame_step, frame


def draw(
    frames: Iterable[tuple[int, Image]], tracks: Sequence[ObjectTrack], config: ViewsConfig
) -> Iterator[tuple[ObjectTrack, ObjectViews]]:
    """Draw views on frames given as (row, image), in increasing order; rows that no view needs are ignored."""
    drawings = [_Drawing(track, config) for track in tracks]
    needed = needed_rows(tracks, config)
    for row, frame in frames:
        if row not in needed:
            continue
        fitted = fit(frame, config.longest_side_px)
        for drawing in drawings:
            if drawing.take(row, fitted):
                yield drawing.track, drawing.finish()


def _rows_of(track: ObjectTrack, config: ViewsConfig) -> set[int]:
    return {track.largest_row, *sampled_rows(len(track.masks), config.frames)}


class _Drawing:
    """The views of one object, drawn frame by frame."""

    def __init__(self, track: ObjectTrack, config: ViewsConfig) -> None:
        self.track = track
        self._config = config
        self._video_rows = sampled_rows(len(track.masks), config.frames)
        self.rows = _rows_of(track, config)
        self._last_row = max(self.rows)
        self._stills: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        self._video: list[bytes] = []

    def take(self, row: int, frame: Image) -> bool:
        """Draw the views of this frame; return True if it is the last one that the object needs."""
        if row not in self.rows:
            return False
        rle = self.track.masks[row]
        shape = _Shape.of(rle, frame) if rle else None
        scene = self._encode(_outlined(frame, shape, self._config.outline_share) if shape else frame)
        if row == self.track.largest_row and shape:
            crop, masked = _cropped(frame, shape, self._config.crop_margin), _painted_over(frame, shape)
            self._stills = (self._encode(crop), self._encode(masked), scene)
        self._video += [scene] * self._video_rows.count(row)
        return row == self._last_row

    def finish(self) -> ObjectViews:
        crop, masked, scene = self._stills
        return ObjectViews(
            crop=crop,
            masked=masked,
            scene=scene,
            video=tuple(self._video),
            video_rows=self._video_rows,
            video_visible=tuple(self.track.masks[row] is not None for row in self._video_rows),
        )

    def _encode(self, image: Image) -> bytes:
        return encode_view(image, self._config.jpeg_quality)


def encode_view(image: Image, quality: int) -> bytes:
    """Encode a view, uint8 RGB [H, W, 3], as JPEG without colour subsampling: thin outlines stay as drawn."""
    return encode_jpeg(image, quality, full_colour=True)


@dataclass(frozen=True, slots=True)
class _Shape:
    """An object in one frame: its box in the image, and its mask inside the box."""

    x0: int
    y0: int
    mask: npt.NDArray[np.uint8]
    """uint8 [h, w], 1 on the object."""

    @classmethod
    def of(cls, rle: Rle, frame: Image) -> "_Shape":
        x0, y0, x1, y1 = box(rle)
        mask = decode_mask(rle)[y0:y1, x0:x1].view(np.uint8)
        scale_y, scale_x = frame.shape[0] / rle.size[0], frame.shape[1] / rle.size[1]
        if scale_y == scale_x == 1:
            return cls(x0, y0, mask)
        left, top = int(x0 * scale_x), int(y0 * scale_y)
        right, bottom = max(left + 1, round(x1 * scale_x)), max(top + 1, round(y1 * scale_y))
        small = cv2.resize(mask * 255, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        # A thin object may be under half a pixel everywhere: its strongest pixels are kept.
        return cls(left, top, (small >= min(128, int(small.max()))).astype(np.uint8))


def fit(frame: Image, longest_side_px: int) -> Image:
    """Scale an image down to this longest side; none is scaled up."""
    height, width = fitted_size((frame.shape[0], frame.shape[1]), longest_side_px)
    if (height, width) == frame.shape[:2]:
        return frame
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def fitted_size(size: tuple[int, int], longest_side_px: int) -> tuple[int, int]:
    """Size (height, width) in pixels of an image of `size` after `fit`."""
    scale = min(1.0, longest_side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _cropped(frame: Image, shape: _Shape, margin: float) -> Image:
    height, width = shape.mask.shape
    room = max(2, round(margin * max(height, width)))
    top, left = max(0, shape.y0 - room), max(0, shape.x0 - room)
    return np.ascontiguousarray(frame[top : shape.y0 + height + room, left : shape.x0 + width + room])


def _painted_over(frame: Image, shape: _Shape) -> Image:
    painted = np.empty_like(frame)
    painted[:] = PAINTED_OVER_RGB
    height, width = shape.mask.shape
    window = np.s_[shape.y0 : shape.y0 + height, shape.x0 : shape.x0 + width]
    cv2.copyTo(frame[window], shape.mask, painted[window])
    return painted


def outlined(frame: Image, rle: Rle, share: float) -> Image:
    """Copy a frame of any size, uint8 RGB [H, W, 3], with the outline of an object of which `rle` is the mask."""
    return _outlined(frame, _Shape.of(rle, frame), share)


def _outlined(frame: Image, shape: _Shape, share: float) -> Image:
    """Draw the outline just outside the mask, so that no pixel of the object is hidden."""
    width = max(2, round(share * max(frame.shape[:2])))
    drawn = frame.copy()
    height_px, width_px = shape.mask.shape
    contours, _ = cv2.findContours(shape.mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE, offset=(shape.x0, shape.y0))
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, thickness=2 * width + 1)
    window = np.s_[shape.y0 : shape.y0 + height_px, shape.x0 : shape.x0 + width_px]
    cv2.copyTo(frame[window], shape.mask, drawn[window])
    return drawn
