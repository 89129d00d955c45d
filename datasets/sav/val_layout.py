"""SA-V's val and test layout: `JPEGImages_24fps/<id>/00000.jpg` and `Annotations_6fps/<id>/<object>/00000.png`."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2

from refsav.datasets.frames import MediaInfo, probe
from refsav.datasets.masks import encode
from refsav.datasets.records import Failed, ObjectKey, ObjectTrack, Rle, Unreadable, VideoFile
from refsav.datasets.sav.source_folders import is_run
from refsav.datasets.sav.train_layout import DOWNLOAD_AGAIN, FRAME_STEP, VIDEO_ID
from refsav.errors import RecordError

FRAMES_FOLDER = "JPEGImages_24fps"
MASKS_FOLDER = "Annotations_6fps"
OBJECT_NUMBER = re.compile(r"[0-9]{1,9}")


def discover(source: Path) -> Iterator[VideoFile | Unreadable]:
    """List the videos that have frames or masks, sorted by name; links are followed, run directories are left out."""
    frames, masks = source / FRAMES_FOLDER, source / MASKS_FOLDER
    entries = [path for root in (frames, masks) if root.is_dir() for path in root.iterdir()]
    dangling = {path.name for path in entries if path.is_symlink() and not path.exists()}
    for video_id in sorted({path.name for path in entries if path.is_dir() and not is_run(path)} | dangling):
        where = f"{FRAMES_FOLDER}/{video_id}"
        if video_id in dangling:
            fix = "mount the disk that it points to, or remove it"
            yield Unreadable(path=where, error=f"{where}: the link to its frames or masks is dangling; fix: {fix}")
            continue
        if not VIDEO_ID.fullmatch(video_id):
            fix = "name it with letters, digits, _ and - only"
            yield Unreadable(path=where, error=f"{where}: {video_id!r} is not a valid video id; fix: {fix}")
        elif not (masks / video_id).is_dir():
            problem = f"{where}: has no masks in {MASKS_FOLDER}/{video_id}"
            yield Unreadable(path=where, error=f"{problem}; fix: unpack its masks, or leave the video out")
        else:
            yield VideoFile(
                video_id=video_id, media=frames / video_id, annotations=(masks / video_id,), folder=FRAMES_FOLDER
            )


def read(video: VideoFile) -> Iterator[tuple[ObjectTrack, float] | Failed | Unreadable]:
    """Read every object of a video, with a stability score of 1 because people drew it.

    An object's column is its index among the sorted object folders; its id is the folder's number. Bad data raises no
    error: it is yielded as Failed or Unreadable.
    """
    (root,) = video.annotations
    media = _media(video.media)
    folder_of: dict[int, str] = {}
    folders = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.name)
    for column, folder in enumerate(folders):
        if not OBJECT_NUMBER.fullmatch(folder.name):
            where = f"{MASKS_FOLDER}/{video.video_id}/{folder.name}"
            problem = f"{where}: the folder's name is not an object number"
            yield Unreadable(path=where, error=f"{problem}; fix: name it 000, 001, …")
            continue
        number = int(folder.name)
        first = folder_of.setdefault(number, folder.name)
        try:
            if first != folder.name:
                raise _same_number(folder, number, first)
            if isinstance(media, RecordError):
                raise media
            yield _read_track(video, folder, column, media), 1.0
        except RecordError as error:
            key = ObjectKey(video.video_id, "manual", number)
            yield Failed(key=key, column=column, stage="source", error=error.line_below(video.root), request_digest="")


def _same_number(folder: Path, number: int, first: str) -> RecordError:
    problem = f"is object {number}, and so is folder {first}"
    return RecordError(folder, "", problem, "give every object its own number")


def _media(folder: Path) -> MediaInfo | RecordError:
    """Probe the frames, or return the error that makes all objects unusable: a missing frame shifts all later ones."""
    try:
        info = probe(folder)
    except RecordError as error:
        return error
    for index in range(info.frame_count):
        if not (folder / f"{index:05d}.jpg").is_file():
            problem = f"is missing, although the folder has {info.frame_count} frames"
            return RecordError(folder / f"{index:05d}.jpg", "", problem, DOWNLOAD_AGAIN)
    return info


def _read_track(video: VideoFile, folder: Path, column: int, media: MediaInfo) -> ObjectTrack:
    size = (media.height, media.width)
    last = max((int(path.stem) for path in folder.glob("*.png") if OBJECT_NUMBER.fullmatch(path.stem)), default=0)
    if last >= media.frame_count:
        problem = f"has a mask of frame {last}, but the video ends after {media.frame_count} frames"
        raise RecordError(folder, "", problem, DOWNLOAD_AGAIN)
    masks: list[Rle | None] = []
    areas: list[int] = []
    for index in range(0, media.frame_count, FRAME_STEP):
        path = folder / f"{index:05d}.png"
        if not path.is_file():  # SA-V writes no mask where the object is not visible
            masks.append(None)
            areas.append(0)
            continue
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise RecordError(path, "", "is not a readable PNG", DOWNLOAD_AGAIN)
        if pixels.shape[:2] != size:
            found = f"{pixels.shape[0]}x{pixels.shape[1]}"
            raise RecordError(
                path, "", f"mask is {found}, the frames {size[0]}x{size[1]} (height x width)", DOWNLOAD_AGAIN
            )
        # A fourth channel is opacity, which does not mark the object.
        mask = (pixels if pixels.ndim == 2 else pixels[..., :3].max(axis=2)) > 0
        area = int(mask.sum())
        masks.append(encode(mask) if area else None)
        areas.append(area)
    return ObjectTrack(
        video_id=video.video_id,
        source="manual",
        masklet_id=int(folder.name),
        column=column,
        size=size,
        masks=tuple(masks),
        areas_px=tuple(areas),
        frame_step=FRAME_STEP,
        rate_hz=media.rate_hz / FRAME_STEP,
    )
