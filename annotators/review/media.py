"""What annotators see of an object: an outlined video and a contact sheet. Many masks would make a browser hang."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from refsav.annotators.gallery.preview import OUTLINE_SHARE, encode_preview, outlined_frames
from refsav.annotators.stages.views import decode_rows, encode_view, fit, outlined, sampled_rows
from refsav.datasets.contact_sheet import lay_out
from refsav.datasets.frames import Image
from refsav.datasets.media import GONE, media_size
from refsav.datasets.records import ObjectKey, ObjectTrack, VideoFile
from refsav.datasets.review.config import ReviewConfig
from refsav.disk.files import write_bytes
from refsav.errors import RecordError
from refsav.processes.cancellation import look

FORMAT = 1
"""Raised when media are drawn differently, so that they get new names and are drawn again."""
STRIP_COLUMNS = 4
GAP_PX = 4
WHITE_RGB = (255, 255, 255)
STRIP_QUALITY = 85


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewMedia:
    """The files of one object, as paths below the review folder."""

    film: str
    strip: str


def draw_media(
    video: VideoFile, tracks: Sequence[ObjectTrack], review: Path, config: ReviewConfig
) -> dict[ObjectKey, ReviewMedia]:
    """Write the videos and contact sheets of some objects of one video, decoding it once; existing files are kept.

    The frames of one video are in memory. If the source has lost the video, earlier files are used.

    Args:
        video: The video.
        tracks: The objects.
        review: The run's review folder.
        config: Sizes and lengths.

    Raises:
        RecordError: If a frame cannot be decoded.
        DiskError: If a file cannot be written.
        StoppedError: If the process is to end.
    """
    media = {track.key: _names(video, track, review, config) for track in tracks}
    missing = [track for track in tracks if not _are_there(media[track.key], review)]
    if not missing:
        return media
    if media_size(video.media) == GONE:
        raise RecordError(video.media, "", "is not in the source any more", "bring it back, then export again")
    film_rows = range(min(len(missing[0].masks), round(config.film_seconds * missing[0].rate_hz)))
    rows = sorted({*film_rows, *(row for track in missing for row in sampled_rows(len(track.masks), config.frames))})
    frames = {row: fit(frame, config.longest_side_px) for row, frame in decode_rows(video, rows, missing[0].frame_step)}
    film_frames = [frames[row] for row in film_rows]
    for track in missing:
        look()
        film = encode_preview(outlined_frames(film_frames, track), film_frames[0].shape[:2], track.rate_hz)
        write_bytes(review / media[track.key].film, film, durable=False)
        strip = lay_out(list(_stills(frames, track, config)), STRIP_COLUMNS, GAP_PX, WHITE_RGB)
        write_bytes(review / media[track.key].strip, encode_view(strip, STRIP_QUALITY), durable=False)
    return media


def _stills(frames: dict[int, Image], track: ObjectTrack, config: ReviewConfig) -> Iterator[Image]:
    for row in sampled_rows(len(track.masks), config.frames):
        frame, rle = fit(frames[row], config.longest_side_px // 2), track.masks[row]
        yield outlined(frame, rle, OUTLINE_SHARE) if rle else frame


def _names(video: VideoFile, track: ObjectTrack, review: Path, config: ReviewConfig) -> ReviewMedia:
    """Name files by the digest of their inputs, so that a browser never shows an older one."""
    folder = Path("media") / track.video_id
    start = f"{track.source}-{track.masklet_id}"
    size = media_size(video.media)
    if size == GONE and (kept := sorted((review / folder).glob(f"{start}-*.mp4"))):
        stem = kept[-1].stem
    else:
        drawn = config.model_dump(include={"longest_side_px", "film_seconds", "frames"})
        masks = [None if mask is None else mask.counts for mask in track.masks]
        made_from = json.dumps([FORMAT, size, drawn, masks], sort_keys=True)
        stem = f"{start}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    return ReviewMedia(film=f"{folder.as_posix()}/{stem}.mp4", strip=f"{folder.as_posix()}/{stem}.jpg")


def _are_there(media: ReviewMedia, review: Path) -> bool:
    return (review / media.film).is_file() and (review / media.strip).is_file()
