"""What Sa2VA can be asked to do, one call each, with results in memory or written frame by frame into a folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from refsav.datasets.masks import Mask
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.language import inference_prompts as wordings
from refsav.model.media.clip import Clip, as_clip
from refsav.model.output.prediction_folder import PredictionFolder
from refsav.model.output.result_json import InputInfo, TaskAnswer
from refsav.model.prediction import TextAnswer
from refsav.model.sa2va import Frames, Sa2VA
from refsav.model.sam.point_prompts import Mark, MarkedObject, box_in
from refsav.model.sam.propagation import FrameLogits


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Something to do with an image or a video. Make it with one of the functions below."""

    kind: str
    prompts: tuple[str, ...] = ()
    """Asked together about the same frames."""
    names: tuple[str, ...] = ()
    """What the objects of each prompt are called; none: as the answer calls them."""
    regions: tuple[Mask, ...] = ()
    """Visual prompts, bool [h, w]."""
    objects: tuple[MarkedObject, ...] = ()
    """Marked by a person, for SAM-2 alone."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task that was done, its masks in a folder."""

    said: tuple[TextAnswer, ...]
    object_count: int
    settings: InferenceSettings


def ask(*prompts: str) -> Task:
    """Any prompt as it stands: chat, questions, "Please segment …"; the answer says whether there are masks."""
    return Task(kind="ask", prompts=prompts)


def segment(*expressions: str, video: bool) -> Task:
    """Referring segmentation of one or several expressions."""
    asked = tuple(wordings.segment(expression, video=video) for expression in expressions)
    return Task(kind="segment", prompts=asked, names=expressions)


def caption(*, video: bool) -> Task:
    """A description in words."""
    return Task(kind="caption", prompts=(wordings.caption(video=video),))


def grounded_caption() -> Task:
    """A description whose phrases have masks."""
    return Task(kind="grounded-caption", prompts=(wordings.GROUNDED_CAPTION,))


def describe_regions(regions: Sequence[Mask]) -> Task:
    """What each of these regions, bool [h, w], of an image is."""
    asked = tuple(wordings.region(number) for number in range(1, len(regions) + 1))
    return Task(kind="region", prompts=asked, regions=tuple(regions))


def track(objects: Sequence[MarkedObject]) -> Task:
    """Follow objects that a person has marked with points and boxes."""
    return Task(kind="track", objects=tuple(objects))


def regions_of(model: Sa2VA, frames: Frames, marks: Sequence[Mark]) -> list[Mask]:
    """Regions of an image that marks stand for: a box is its area, points are what SAM-2 finds at them."""
    clip = as_clip(frames)
    regions: list[Mask] = [np.zeros((clip.height, clip.width), np.bool_) for _ in marks]
    pointed = [number for number, mark in enumerate(marks) if mark.points]
    for region, mark in zip(regions, marks, strict=True):
        if mark.box and not mark.points:
            x0, y0, x1, y1 = box_in(mark.box, clip.height, clip.width)
            region[int(y0) : max(int(np.ceil(y1)), int(y0) + 1), int(x0) : max(int(np.ceil(x1)), int(x0) + 1)] = True
    if pointed:
        found = next(iter(model.track(clip, [[marks[number]] for number in pointed])))
        for number, mask in zip(pointed, model.full_size(found.logits, clip.height, clip.width), strict=True):
            regions[number] = mask
    for number, region in enumerate(regions, 1):
        if not region.any():
            raise InputError(f"region {number} has no pixel in the picture", "mark an object with a point or a box")
    return regions


def run_to_folder(
    model: Sa2VA,
    clip: Clip,
    task: Task,
    folder: Path,
    *,
    settings: InferenceSettings | None = None,
    heard: Callable[[Sequence[TextAnswer]], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> TaskResult:
    """Do a task and write its result; memory does not grow with the video's length.

    Args:
        model: Asked.
        clip: Asked about.
        task: Of this module.
        folder: See `outputs`.
        settings: Of inference.
        heard: Called with the answers before masks are made of them.
        progress: Called with the number of frames done.

    Raises:
        InputError: If the task does not fit the model or the clip.
        RecordError: If a frame cannot be read, or the folder holds something else.
        DiskError: If the folder cannot be written.
    """
    used = model.resolve_settings(settings)
    said = (
        _named(task, model.generate_text(clip, task.prompts, regions=task.regions, settings=used))
        if task.prompts
        else ()
    )
    heard(said)
    phrases = tuple(phrase for one in said for phrase in one.phrases) or _numbers(task.objects)
    kept = {**used.model_dump(), "prompts": list(task.prompts), "complete": all(one.complete for one in said)}
    if task.objects:  # no words, so nothing of how words become masks
        decoder = "fine-tuned" if model.original_decoder is None else "original"
        kept = {"mask_decoder": decoder, "objects_at_once": used.objects_at_once}
    answer = TaskAnswer(text="\n".join(one.text for one in said), task=task.kind, phrases=phrases, settings=kept)
    with PredictionFolder(folder, InputInfo.of(clip), answer) as output:
        if phrases:
            found = _masks(model, clip, task, said, used)
            for (index, frame), logits in zip(clip.frames(range(clip.count)), found, strict=True):
                output.add(index, frame, list(model.full_size(logits.logits, clip.height, clip.width)))
                progress(index + 1)
    return TaskResult(tuple(said), len(phrases), used)


def _masks(
    model: Sa2VA, clip: Clip, task: Task, said: Sequence[TextAnswer], used: InferenceSettings
) -> Iterator[FrameLogits]:
    if task.objects:
        return model.track(clip, task.objects, settings=used)
    return model.segment(clip, torch.cat([one.seg_projected for one in said]), settings=used)


def _named(task: Task, said: Sequence[TextAnswer]) -> list[TextAnswer]:
    if not task.names:
        return list(said)
    return [replace(one, phrases=(name,) * len(one.phrases)) for one, name in zip(said, task.names, strict=True)]


def _numbers(objects: Sequence[MarkedObject]) -> tuple[str, ...]:
    return tuple(f"object {number}" for number in range(1, len(objects) + 1))
