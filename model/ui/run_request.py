"""Run what a visitor requested in the page and write the result to disk; independent of Gradio."""

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
"""Longer side of the frame that is shown for clicking. Small frames are enlarged to it as well: it is more than the
page has room for, and Gradio reports wrong click positions on an image that is displayed larger than it is."""

TASKS_WITH_MASKS = ("segment", "grounded-caption")
"""Tasks whose answers should have masks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRequest:
    """What a visitor requested, as the page's fields hold it."""

    kind: str
    """segment, ask, describe, track or region: the button that was pressed."""
    expressions: str
    """One per line."""
    question: str
    caption: str
    """caption or grounded-caption."""
    marks: str
    """One object per line; see `mark_editor`."""
    settings: InferenceSettings


@dataclass(frozen=True, slots=True)
class SavedResult:
    """A result on disk."""

    folder: Path
    archive: Path
    """The folder as a zip file."""
    result: tasks.TaskResult
    objects: tuple[html.ObjectSummary, ...]
    used: tuple[tuple[str, str], ...]
    """Names and values of the settings that made a difference."""


@dataclass(slots=True)
class TaskProgress:
    """Progress of a running task; the worker thread writes it, the page polls it."""

    answers: str = ""
    """HTML; empty until the model has answered."""
    frames: int = 0
    """Frames whose masks are done."""


def preview(clip: Clip, index: int) -> Image:
    """Return a frame at the size in which the page shows it.

    Args:
        clip: The image or video.
        index: Which frame, from 0.

    Returns:
        uint8 RGB [h, w, 3], the longer side `PREVIEW_PX`.

    Raises:
        RefSavError: If the frame cannot be read.
    """
    frame = next(iter(clip.frames([index])))[1]
    scale = preview_scale(clip)
    size = (max(1, round(scale * clip.width)), max(1, round(scale * clip.height)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def preview_scale(clip: Clip) -> float:
    """Return the preview's pixels per pixel of the frame."""
    return PREVIEW_PX / max(clip.height, clip.width)


def describe_clip(clip: Clip) -> str:
    """Return the size and the length of a clip as text."""
    size = f"{clip.width} × {clip.height} pixels"
    if clip.count == 1:
        return size
    return f"{size}, {clip.count} frames, {clip.count / clip.rate_hz:.1f} s"


def make_task(model: Sa2VA, clip: Clip, request: TaskRequest) -> tasks.Task:
    """Make the task that was requested.

    Raises:
        InputError: If the page lacks something that the task needs.
    """
    video = clip.count > 1
    if request.kind == "segment":
        expressions = [line.strip() for line in request.expressions.splitlines() if line.strip()]
        if not expressions:
            raise InputError("there is no expression", "write what to find, one object per line")
        return tasks.segment(*expressions, video=video)
    if request.kind == "ask":
        if not request.question.strip():
            raise InputError("there is no question", "write what you want to know")
        return tasks.ask(request.question.strip())
    if request.kind == "describe":
        return tasks.grounded_caption() if request.caption == "grounded-caption" else tasks.caption(video=video)
    objects = mark_editor.objects_in(request.marks)
    if not objects:
        raise InputError("no object is marked", "click on an object in the image")
    if request.kind == "track":
        return tasks.track(objects)
    if video:
        raise InputError("marked objects can be described in an image, not in a video", "choose an image")
    return tasks.describe_regions(tasks.regions_of(model, clip, [marks[0] for marks in objects]))


def run_request(model: Sa2VA, clip: Clip, request: TaskRequest, parent: Path, progress: TaskProgress) -> SavedResult:
    """Run a request.

    Args:
        model: The model.
        clip: The image or video.
        request: What the visitor requested.
        parent: Where the result's folder is created; it is named after the input and the task.
        progress: Updated as the task runs.

    Raises:
        InputError: If the request does not fit the model or the clip.
        RecordError: If a frame cannot be read.
        DiskError: If the result cannot be written.
        StoppedError: If the job is stopped.
    """
    task = make_task(model, clip, request)

    def on_answers(answers: Sequence[TextAnswer]) -> None:
        progress.answers = html.answers(answers, task.names, masks_expected=task.kind in TASKS_WITH_MASKS)

    def on_progress(frames: int) -> None:
        progress.frames = frames

    folder = parent / f"{clip.name}-{task.kind}"
    result = tasks.run_to_folder(
        model, clip, task, folder, settings=request.settings, on_answers=on_answers, on_progress=on_progress
    )
    return SavedResult(folder, _zip(folder), result, _summaries(folder, clip), tuple(_used(task, clip, result)))


def _used(task: tasks.Task, clip: Clip, result: tasks.TaskResult) -> Iterator[tuple[str, str]]:
    if task.prompts and clip.count > 1:
        yield "key frames", result.settings.key_frames
        yield "propagation", result.settings.propagation
    if task.prompts:
        yield "longest answer", f"{result.settings.new_tokens} tokens"


def _zip(folder: Path) -> Path:
    archive = folder.with_name(f"{folder.name}.zip")
    try:
        with zipfile.ZipFile(archive, "w") as stream:  # stored: the files are compressed already
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    stream.write(path, path.relative_to(folder.parent))
    except OSError as error:
        raise DiskError(archive, error) from error
    return archive


def _summaries(folder: Path, clip: Clip) -> tuple[html.ObjectSummary, ...]:
    objects = json.loads((folder / RESULT_FILE).read_bytes())["objects"]
    frame_px = clip.height * clip.width
    return tuple(html.ObjectSummary(one["phrase"], tuple(one["area_px"]), frame_px) for one in objects)
