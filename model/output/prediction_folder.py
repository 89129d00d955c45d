"""The folder that a prediction leaves behind: what was answered, the masks, and pictures of them.

    result.json                   text, settings, and for each object its phrase, masks (COCO RLE) and areas
    masks/<object>/<frame>.png    one picture for every object and frame, 0 and 255; objects from 001, frames from 00000
    overlay.png or overlay.mp4    the image, or every frame of the video, with the masks drawn over it
    strip.jpg                     some frames of a video side by side

An object's number is the one that the pictures show. An answer without objects leaves `result.json` alone.
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
"""With `result.json`, all that a result consists of: a new one takes the place of these and leaves others alone."""

UNFINISHED = ".unfinished"
"""Folder inside the result's own, in which everything is made before it gets its place."""

STRIP_QUALITY = 90


class PredictionFolder:
    """Writes a result while its frames come by; the memory that it takes does not grow with the video.

    As a context manager: on leaving without an error all files get their places, `result.json` as the last one. On
    leaving with one, an earlier result in the folder stays as it was.
    """

    def __init__(self, folder: Path, shown: InputInfo, answer: TaskAnswer) -> None:
        """Describe a result; nothing is written yet.

        Raises:
            ValueError: If the settings do not fit into JSON.
            TypeError: For the same reason.
        """
        json.dumps(dict(answer.settings), allow_nan=False)
        self._folder, self._shown, self._answer = folder, shown, answer
        self._unfinished = folder / UNFINISHED
        self._count = 0
        self._objects: list[ObjectMasks] | None = None
        self._film: VideoWriter | None = None
        self._strip: VideoContactSheet | None = None
        self._corner: Corner | None = None
        self._is_placing = False

    def __enter__(self) -> Self:
        """Get the folder ready.

        Raises:
            RecordError: If it holds something else than a result.
            DiskError: If it cannot be written.
        """
        _refuse_foreign(self._folder)
        self._is_new = not self._folder.exists()
        with self._writing():
            if self._unfinished.exists():  # left by a process that was killed
                shutil.rmtree(self._unfinished)
            self._unfinished.mkdir(parents=True)
        return self

    def add(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        """Add the next frame.

        Args:
            index: Its number, from 0.
            frame: uint8 RGB [height, width, 3]; brought to the size of the others if it has another one.
            masks: bool [h, w] in that size for each object, empty where it cannot be seen.

        Raises:
            RecordError: If it is not the next frame, or anything has another size or number than was said.
            DiskError: If it cannot be written.
        """
        self._check(index, frame, masks)
        height, width = self._shown.size
        if frame.shape[:2] != (height, width):
            frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        with self._writing():
            objects = self._begun(len(masks))
            self._count += 1
            for its, mask in zip(objects, masks, strict=True):
                its.add(mask)
            if objects:
                self._show(index, frame, masks, [its.phrase for its in objects])

    def _begun(self, count: int) -> list[ObjectMasks]:
        """Objects of the result, and the film and the strip once there is an object to be shown."""
        if self._objects is None:
            phrases = ("",) * count if self._answer.phrases is None else self._answer.phrases
            self._objects = [
                ObjectMasks(self._unfinished / "masks" / f"{number:03d}", self._unfinished / f"{number}.lines", phrase)
                for number, phrase in enumerate(phrases, start=1)
            ]
            if phrases and self._shown.rate_hz is not None:
                self._film = VideoWriter(self._unfinished / "overlay.mp4", self._shown.size, self._shown.rate_hz)
                self._strip = VideoContactSheet(self._shown.count, phrases)
        return self._objects

    def _show(self, index: int, frame: Image, masks: Sequence[Mask], phrases: Sequence[str]) -> None:
        if self._corner is None and any(mask.any() for mask in masks):
            self._corner = free_corner(masks, phrases)  # and there the legend stays
        drawn = draw_masks(frame, masks, phrases, corner=self._corner)
        if self._film and self._strip:
            self._film.add(drawn)
            self._strip.add(index, frame, masks)
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
        if self._count < self._shown.count and (self._count or self._answer.phrases != ()):
            problem = f"is missing: only {self._count} of {self._shown.count} frames have got their masks"
            raise self._error(self._count, problem, "the input may be cut short; copy it again")
        with self._writing():
            for its in self._objects or ():
                its.close()
            if self._film and self._strip:
                self._film.finish()
                self._film = None
                sheet = encode_jpeg(self._strip.sheet(), STRIP_QUALITY)
                (self._unfinished / "strip.jpg").write_bytes(sheet)
            write_result(self._unfinished / RESULT_FILE, self._shown, self._answer, self._objects or ())
            flush_to_disk(self._unfinished / RESULT_FILE)
            self._put_in_place()

    def _put_in_place(self) -> None:
        """Exchange an earlier result for this one; whoever is stopped in between leaves no `result.json`."""
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
        shutil.rmtree(self._unfinished, ignore_errors=True)  # beside a whole result it means nothing
        flush_to_disk(self._folder)

    def _clean_up(self) -> None:
        if self._film:
            self._film.abandon()
        with suppress(OSError):
            for its in self._objects or ():
                its.close()
        if not self._is_placing:  # else it tells that what lies beside it is half a result
            shutil.rmtree(self._unfinished, ignore_errors=True)
        if self._is_new:
            with suppress(OSError):  # there is a result in it
                self._folder.rmdir()

    def _check(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        height, width = self._shown.size
        if index != self._count or index >= self._shown.count:
            problem = f"came in place of frame {self._count} of {self._shown.count}"
            raise self._error(index, problem, "give every frame once, in order")
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise self._error(index, f"is {frame.dtype} {frame.shape}", "give RGB: uint8 [height, width, 3]")
        if self._objects is not None or self._answer.phrases is not None:
            count = len(self._answer.phrases or ()) if self._objects is None else len(self._objects)
            if len(masks) != count:
                problem = f"has masks of {len(masks)} objects, there are {count}"
                raise self._error(index, problem, "give an empty mask for an object that cannot be seen")
        for number, mask in enumerate(masks, start=1):
            if mask.shape != (height, width) or mask.dtype != np.bool_:
                problem = f"the mask of object {number} is {mask.dtype} {mask.shape}, not bool ({height}, {width})"
                raise self._error(index, problem, "bring masks to the size of the frames first")

    def _error(self, index: int, problem: str, fix: str) -> RecordError:
        return RecordError(Path(self._shown.name), f"frame {index}", problem, fix)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskError(self._folder, error) from error


def _refuse_foreign(folder: Path) -> None:
    """Make sure that a folder is free, or holds a result. Raises RecordError, and DiskError if it cannot be read."""
    if folder.is_file():
        raise RecordError(folder, "", "is a file, not a folder", "name a new folder")
    try:
        found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise DiskError(folder, error) from error
    is_free = all(name.startswith(".") for name in found)  # desktops leave hidden files
    if not is_free and UNFINISHED not in found and not is_result(folder / RESULT_FILE):
        some = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
        raise RecordError(folder, "", f"holds something else than a result: {some}", "name a new folder, or empty it")
