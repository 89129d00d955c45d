"""An object of a video with its masks and frames, decoded on request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refsav.datasets.frames import Image, decode
from refsav.datasets.masks import Mask, decode_all
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import ObjectTrack


@dataclass(frozen=True, kw_only=True)
class VideoObject:
    """One annotated object of one video. Row t of its masks is annotated frame t (SA-V: 6 a second)."""

    track: ObjectTrack
    """The object's record: masks as run-length encoding, areas, rates."""
    media: Path
    """The video file, or the folder of its JPEG frames. It is opened only when frames are read."""

    @property
    def video_id(self) -> str:
        """SA-V name of the video, for example "sav_000001"."""
        return self.track.video_id

    @property
    def name(self) -> str:
        """The object's name in the dataset: VIDEO/SOURCE/MASKLET."""
        return str(self.track.key)

    @property
    def rows(self) -> int:
        """Number of annotated frames."""
        return len(self.track.masks)

    @property
    def largest_row(self) -> int:
        """The annotated frame in which the object is largest."""
        return self.track.largest_row

    def mask(self, row: int) -> Mask:
        """Decode one mask: bool [H, W], all False where the object is hidden."""
        rle = self.track.masks[row]
        return np.zeros(self.track.size, np.bool_) if rle is None else decode_mask(rle)

    def masks(self) -> Mask:
        """Decode all masks: bool [T, H, W]. A 1080p video takes 2 MB a row; use `mask` where that is too much."""
        return decode_all(self.track.masks, self.track.size)

    def frames(self, rows: Sequence[int] | None = None) -> Iterator[tuple[int, Image]]:
        """Decode annotated frames in increasing order, one in memory.

        Args:
            rows: Annotated frames to read; all of them by default.

        Yields:
            (row, uint8 RGB [H, W, 3]).

        Raises:
            RecordError: If the video is missing or cannot be decoded.
            IndexError: If the object has no such row.
        """
        chosen = range(self.rows) if rows is None else [range(self.rows)[row] for row in rows]
        step = self.track.frame_step
        for index, image in decode(self.media, [row * step for row in chosen]):
            yield index // step, image
