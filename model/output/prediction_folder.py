"""The folder of a prediction: the answer, the masks, and images of them.

    result.json                   text, settings, and for each object its phrase, masks (COCO RLE) and areas
    masks/<object>/<frame>.png    one image per object and frame, 0 and 255; objects from 001, frames from 00000
    overlay.png or overlay.mp4    the image, or every frame of the video, with the masks drawn over it
    strip.jpg                     contact sheet of a video

Objects have the numbers that the overlay shows. For an answer without objects there is only `result.json`.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.image_files import encode_jpeg, encode_png
from refsav.datasets.masks import Mask
from refsav.datasets.video_writer import VideoWriter
from refsav.disk.files import DiskError, flush_to_disk
from refsav.errors import RecordError
from refsav.model.output.contact_sheet import VideoContactSheet
from refsav.model.output.legend import Corner
from refsav.model.output.mask_overlay import draw_masks, free_corner
from refsav.model.output.result_json import InputInfo, ObjectMasks, TaskAnswer, is_result, write_result

RESULT_FILE = "result.json"
RESULT_PARTS = ("masks", "overlay.png", "overlay.mp4", "strip.jpg")
"""The other parts of a result: a new result replaces them and leaves all other files."""

UNFINISHED = ".unfinished"
"""Folder within the result's folder in which all parts are written before they are moved to their places."""

SHEET_QUALITY = 90


class PredictionFolder:
    """Writes a result frame by frame; memory use does not grow with the length of the video.

    It is a context manager. On exit without an error, all files are moved to their places, `result.json` last. After an
    error, a previous result in the folder is unchanged.
    """

    def __init__(self, folder: Path, info: InputInfo, answer: TaskAnswer) -> None:
        """Prepare a result; nothing is written yet.

        Args:
            folder: The result's folder.
            info: The image or video.
            answer: The model's answer.

        Raises:
            ValueError, TypeError: If the settings are not JSON-serialisable.
        """
        json.dumps(dict(answer.settings), allow_nan=False)
        self._folder, self._info, self._answer = folder, info, answer
        self._unfinished = folder / UNFINISHED
        self._count = 0
        self._objects: list[ObjectMasks] | None = None
        self._video: VideoWriter | None = None
        self._sheet: VideoContactSheet | None = None
        self._corner: Corner | None = None
        self._is_placing = False

    def __enter__(self) -> Self:
        """Create the folder.

        Raises:
            RecordError: If it contains something other than a result.
            DiskError: If it cannot be written.
        """
        _refuse_foreign(self._folder)
        self._is_new = not self._folder.exists()
        with self._writing():
            if self._unfinished.exists():  # from a process that was killed
                shutil.rmtree(self._unfinished)
            self._unfinished.mkdir(parents=True)
        return self

    def add(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        """Add the next frame.

        Args:
            index: The frame's number, from 0.
            frame: uint8 RGB [h, w, 3]; resized to the size in the InputInfo if it has another one.
            masks: bool [h, w] for each object, in the size of the InputInfo; all False if the object is not visible.

        Raises:
            RecordError: If it is not the next frame, or a size or the number of objects does not match.
            DiskError: If it cannot be written.
        """
        self._check(index, frame, masks)
        height, width = self._info.size
        if frame.shape[:2] != (height, width):
            frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        with self._writing():
            objects = self._start_objects(len(masks))
            self._count += 1
            for one, mask in zip(objects, masks, strict=True):
                one.add(mask)
            if objects:
                self._draw(index, frame, masks, [one.phrase for one in objects])

    def _start_objects(self, count: int) -> list[ObjectMasks]:
        """Return the objects; the first call creates them and, for a video, its overlay and contact sheet."""
        if self._objects is None:
            phrases = ("",) * count if self._answer.phrases is None else self._answer.phrases
            self._objects = [
                ObjectMasks(self._unfinished / "masks" / f"{number:03d}", self._unfinished / f"{number}.lines", phrase)
                for number, phrase in enumerate(phrases, start=1)
            ]
            if phrases and self._info.rate_hz is not None:
                self._video = VideoWriter(self._unfinished / "overlay.mp4", self._info.size, self._info.rate_hz)
                self._sheet = VideoContactSheet(self._info.count, phrases)
        return self._objects

    def _draw(self, index: int, frame: Image, masks: Sequence[Mask], phrases: Sequence[str]) -> None:
        if self._corner is None and any(mask.any() for mask in masks):
            self._corner = free_corner(masks, phrases)  # for all later frames, so that the legend does not move
        drawn = draw_masks(frame, masks, phrases, corner=self._corner)
        if self._video and self._sheet:
            self._video.add(drawn)
            self._sheet.add(index, frame, masks)
        else:
            (self._unfinished / "overlay.png").write_bytes(encode_png(drawn))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._clean_up()

    def _finish(self) -> None:
        if self._count < self._info.count and (self._count or self._answer.phrases != ()):
            problem = f"is missing: only {self._count} of {self._info.count} frames have masks"
            raise self._error(self._count, problem, "the input may be truncated; copy it again")
        with self._writing():
            for one in self._objects or ():
                one.close()
            if self._video and self._sheet:
                self._video.finish()
                self._video = None
                sheet = encode_jpeg(self._sheet.sheet(), SHEET_QUALITY)
                (self._unfinished / "strip.jpg").write_bytes(sheet)
            write_result(self._unfinished / RESULT_FILE, self._info, self._answer, self._objects or ())
            flush_to_disk(self._unfinished / RESULT_FILE)
            self._put_in_place()

    def _put_in_place(self) -> None:
        """Replace a previous result; a process that is stopped in between leaves no `result.json`."""
        self._is_placing = True
        (self._folder / RESULT_FILE).unlink(missing_ok=True)
        for name in RESULT_PARTS:
            old, new = self._folder / name, self._unfinished / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
            if new.exists():
                new.replace(old)
        (self._unfinished / RESULT_FILE).replace(self._folder / RESULT_FILE)
        shutil.rmtree(self._unfinished, ignore_errors=True)  # next to a complete result it is ignored
        flush_to_disk(self._folder)

    def _clean_up(self) -> None:
        if self._video:
            self._video.abort()
        with suppress(OSError):
            for one in self._objects or ():
                one.close()
        if not self._is_placing:  # otherwise it marks the result as partial
            shutil.rmtree(self._unfinished, ignore_errors=True)
        if self._is_new:
            with suppress(OSError):  # it contains a result
                self._folder.rmdir()

    def _check(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        height, width = self._info.size
        if index != self._count or index >= self._info.count:
            problem = f"was given instead of frame {self._count} of {self._info.count}"
            raise self._error(index, problem, "give every frame once, in order")
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise self._error(index, f"is {frame.dtype} {frame.shape}", "give RGB: uint8 [height, width, 3]")
        if self._objects is not None or self._answer.phrases is not None:
            count = len(self._answer.phrases or ()) if self._objects is None else len(self._objects)
            if len(masks) != count:
                problem = f"has masks of {len(masks)} objects instead of {count}"
                raise self._error(index, problem, "give an empty mask for an object that is not visible")
        for number, mask in enumerate(masks, start=1):
            if mask.shape != (height, width) or mask.dtype != np.bool_:
                problem = f"the mask of object {number} is {mask.dtype} {mask.shape}, not bool ({height}, {width})"
                raise self._error(index, problem, "resize the masks to the size of the frames first")

    def _error(self, index: int, problem: str, fix: str) -> RecordError:
        return RecordError(Path(self._info.name), f"frame {index}", problem, fix)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskError(self._folder, error) from error


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with anything but a result. Raises RecordError, and DiskError if it cannot be read."""
    if folder.is_file():
        raise RecordError(folder, "", "is a file, not a folder", "name a new folder")
    try:
        found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise DiskError(folder, error) from error
    is_free = all(name.startswith(".") for name in found)  # file managers create hidden files
    if not is_free and UNFINISHED not in found and not is_result(folder / RESULT_FILE):
        some = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
        problem = f"contains something other than a result: {some}"
        raise RecordError(folder, "", problem, "name a new folder, or empty it")
