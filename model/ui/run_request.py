"""From what a person wants, as it stands in the page, to a result on disk; nothing of Gradio here."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.frames import Image
from refsav.disk.files import DiskError
from refsav.model import tasks
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip
from refsav.model.output.prediction_folder import RESULT_FILE
from refsav.model.prediction import TextAnswer
from refsav.model.sa2va import Sa2VA
from refsav.model.ui import html, mark_editor

PREVIEW_PX = 1280
"""Longer side of the frame that is shown to be clicked on, of small ones too: it is more than the page has room for,
and Gradio tells wrong places of clicks on a picture that is shown larger than it is."""


MASKED = ("segment", "grounded-caption")
"""Tasks whose answers should have masks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRequest:
    """What a person wants done."""

    kind: str
    """segment, ask, describe, track or region: the button that was pressed."""
    expressions: str
    """One a line."""
    question: str
    caption: str
    """caption or grounded-caption."""
    marks: str
    """See `ui_marks`."""
    settings: InferenceSettings


@dataclass(frozen=True, slots=True)
class SavedResult:
    """A result on disk."""

    folder: Path
    archive: Path
    """The folder as a zip file."""
    done: tasks.TaskResult
    found: tuple[html.ObjectSummary, ...]
    used: tuple[tuple[str, str], ...]
    """Settings that made a difference, by their names."""


@dataclass(slots=True)
class TaskProgress:
    """What is known while the work goes on; the worker writes it, the page looks."""

    answers: str = ""
    """HTML; empty before anything was said."""
    frames: int = 0


def preview(clip: Clip, index: int) -> Image:
    """A frame, uint8 RGB [h, w, 3], in the size in which it is sent to be looked at. Raises RefSavError."""
    frame = next(iter(clip.frames([index])))[1]
    scale = preview_scale(clip)
    size = (max(1, round(scale * clip.width)), max(1, round(scale * clip.height)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def preview_scale(clip: Clip) -> float:
    """Pixels of the preview for one of the frame."""
    return PREVIEW_PX / max(clip.height, clip.width)


def described(clip: Clip) -> str:
    """Size and length of a clip, for a person."""
    size = f"{clip.width} × {clip.height} pixels"
    if clip.count == 1:
        return size
    return f"{size}, {clip.count} frames, {clip.count / clip.rate_hz:.1f} s"


def make_task(model: Sa2VA, clip: Clip, wanted: TaskRequest) -> tasks.Task:
    """The task that is wanted.

    Raises:
        InputError: If something that it needs is missing in the page.
    """
    video = clip.count > 1
    if wanted.kind == "segment":
        expressions = [line.strip() for line in wanted.expressions.splitlines() if line.strip()]
        if not expressions:
            raise InputError("nothing is named that could be found", "write what to find, one object on each line")
        return tasks.segment(*expressions, video=video)
    if wanted.kind == "ask":
        if not wanted.question.strip():
            raise InputError("there is no question", "write what you want to know")
        return tasks.ask(wanted.question.strip())
    if wanted.kind == "describe":
        return tasks.grounded_caption() if wanted.caption == "grounded-caption" else tasks.caption(video=video)
    objects = mark_editor.objects_in(wanted.marks)
    if not objects:
        raise InputError("nothing is marked", "click on an object in the picture")
    if wanted.kind == "track":
        return tasks.track(objects)
    if video:
        raise InputError("marked objects are described in a picture, not in a video", "choose a picture")
    return tasks.describe_regions(tasks.regions_of(model, clip, [marks[0] for marks in objects]))


def work(model: Sa2VA, clip: Clip, wanted: TaskRequest, place: Path, heard: TaskProgress) -> SavedResult:
    """Do what is wanted; the result is a folder in `place`, named after the input and what was done.

    Raises:
        InputError: If it does not fit the model or the clip.
        RecordError: If a frame cannot be read.
        DiskError: If the result cannot be written.
        StoppedError: If it is to end.
    """
    task = make_task(model, clip, wanted)

    def listen(said: Sequence[TextAnswer]) -> None:
        heard.answers = html.answers(said, task.names, masks_wanted=task.kind in MASKED)

    def count(frames: int) -> None:
        heard.frames = frames

    folder = place / f"{clip.name}-{task.kind}"
    done = tasks.run_to_folder(model, clip, task, folder, settings=wanted.settings, heard=listen, progress=count)
    return SavedResult(folder, _packed(folder), done, _found(folder, clip), tuple(_used(task, clip, done)))


def _used(task: tasks.Task, clip: Clip, done: tasks.TaskResult) -> Iterator[tuple[str, str]]:
    if task.prompts and clip.count > 1:
        yield "key frames", done.settings.key_frames
        yield "propagation", done.settings.propagation
    if task.prompts:
        yield "longest answer", f"{done.settings.new_tokens} tokens"


def _packed(folder: Path) -> Path:
    archive = folder.with_name(f"{folder.name}.zip")
    try:
        with zipfile.ZipFile(archive, "w") as writing:  # what is in it is compressed
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    writing.write(path, path.relative_to(folder.parent))
    except OSError as error:
        raise DiskError(archive, error) from error
    return archive


def _found(folder: Path, clip: Clip) -> tuple[html.ObjectSummary, ...]:
    objects = json.loads((folder / RESULT_FILE).read_bytes())["objects"]
    return tuple(html.ObjectSummary(one["phrase"], tuple(one["area_px"]), clip.height * clip.width) for one in objects)
