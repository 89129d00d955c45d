"""The tasks of Sa2VA, one function each, and a function that runs a task and writes its result to a folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from refsav.datasets.masks import Mask
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.language import inference_prompts
from refsav.model.media.clip import Clip, as_clip
from refsav.model.output.prediction_folder import PredictionFolder
from refsav.model.output.result_json import InputInfo, TaskAnswer
from refsav.model.prediction import TextAnswer
from refsav.model.sa2va import Frames, Sa2VA
from refsav.model.sam.point_prompts import Mark, MarkedObject, box_in
from refsav.model.sam.propagation import FrameLogits


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task about an image or a video, made by one of the functions below."""

    kind: str
    prompts: tuple[str, ...] = ()
    """Prompts about the same frames, answered together."""
    names: tuple[str, ...] = ()
    """Name of the objects of each prompt; empty for the phrases of the answers."""
    regions: tuple[Mask, ...] = ()
    """Visual prompts, bool [h, w]."""
    objects: tuple[MarkedObject, ...] = ()
    """Objects marked by a person; only SAM-2 is used for them."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a task whose masks were written to a folder."""

    answers: tuple[TextAnswer, ...]
    object_count: int
    settings: InferenceSettings


def ask(*prompts: str) -> Task:
    """Make a task of prompts that are used unchanged; each [SEG] in the answers gets a mask."""
    return Task(kind="ask", prompts=prompts)


def segment(*expressions: str, video: bool) -> Task:
    """Make a task of referring segmentation: one or several expressions, found in the same image or video."""
    prompts = tuple(inference_prompts.segment(expression, video=video) for expression in expressions)
    return Task(kind="segment", prompts=prompts, names=expressions)


def caption(*, video: bool) -> Task:
    """Make a task of captioning, without masks."""
    return Task(kind="caption", prompts=(inference_prompts.caption(video=video),))


def grounded_caption() -> Task:
    """Make a task of grounded caption generation: a caption whose phrases have masks."""
    return Task(kind="grounded-caption", prompts=(inference_prompts.GROUNDED_CAPTION,))


def describe_regions(regions: Sequence[Mask]) -> Task:
    """Make a task of region captioning.

    Args:
        regions: Visual prompts, bool [h, w] at the image's size.
    """
    prompts = tuple(inference_prompts.region(number) for number in range(1, len(regions) + 1))
    return Task(kind="region", prompts=prompts, regions=tuple(regions))


def track(objects: Sequence[MarkedObject]) -> Task:
    """Make a task of tracking objects that a person has marked with points and boxes."""
    return Task(kind="track", objects=tuple(objects))


def regions_of(model: Sa2VA, frames: Frames, marks: Sequence[Mark]) -> list[Mask]:
    """Convert marks into regions of an image: a box into its area, points into the mask that SAM-2 predicts for them.

    Args:
        model: The model.
        frames: The image.
        marks: One mark for each region.

    Returns:
        bool [h, w] for each mark.

    Raises:
        InputError: If a region is empty.
    """
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
            raise InputError(f"region {number} has no pixel in the image", "mark an object with a point or a box")
    return regions


def run_to_folder(
    model: Sa2VA,
    clip: Clip,
    task: Task,
    folder: Path,
    *,
    settings: InferenceSettings | None = None,
    on_answers: Callable[[Sequence[TextAnswer]], None] = lambda _: None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> TaskResult:
    """Run a task and write its result; memory use does not grow with the length of the video.

    Args:
        model: The model.
        clip: The image or video.
        task: From a function of this module.
        folder: The result's folder; `prediction_folder` describes its files.
        settings: Settings of inference; None for the defaults.
        on_answers: Called with the answers, before their masks are computed.
        on_progress: Called with the number of frames whose masks are written.

    Raises:
        InputError: If the task does not fit the model or the clip.
        RecordError: If a frame cannot be read, or the folder contains something other than a result.
        DiskError: If the folder cannot be written.
    """
    used = model.resolve_settings(settings)
    answers = (
        _named(task, model.generate_text(clip, task.prompts, regions=task.regions, settings=used))
        if task.prompts
        else ()
    )
    on_answers(answers)
    phrases = tuple(phrase for one in answers for phrase in one.phrases) or _numbers(task.objects)
    kept = {**used.model_dump(), "prompts": list(task.prompts), "complete": all(one.complete for one in answers)}
    if task.objects:  # no prompts, so key frames and propagation do not apply
        decoder = "fine-tuned" if model.original_decoder is None else "original"
        kept = {"mask_decoder": decoder, "objects_at_once": used.objects_at_once}
    summary = TaskAnswer(text="\n".join(one.text for one in answers), task=task.kind, phrases=phrases, settings=kept)
    with PredictionFolder(folder, InputInfo.of(clip), summary) as output:
        if phrases:
            found = _masks(model, clip, task, answers, used)
            for (index, frame), logits in zip(clip.frames(range(clip.count)), found, strict=True):
                output.add(index, frame, list(model.full_size(logits.logits, clip.height, clip.width)))
                on_progress(index + 1)
    return TaskResult(tuple(answers), len(phrases), used)


def _masks(
    model: Sa2VA, clip: Clip, task: Task, answers: Sequence[TextAnswer], used: InferenceSettings
) -> Iterator[FrameLogits]:
    if task.objects:
        return model.track(clip, task.objects, settings=used)
    return model.segment(clip, torch.cat([one.seg_projected for one in answers]), settings=used)


def _named(task: Task, answers: Sequence[TextAnswer]) -> list[TextAnswer]:
    if not task.names:
        return list(answers)
    return [replace(one, phrases=(name,) * len(one.phrases)) for one, name in zip(answers, task.names, strict=True)]


def _numbers(objects: Sequence[MarkedObject]) -> tuple[str, ...]:
    return tuple(f"object {number}" for number in range(1, len(objects) + 1))
