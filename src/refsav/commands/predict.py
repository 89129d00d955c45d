"""`refsav predict`: run a task on an image or a video, print the answer and write masks and overlays."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from refsav.errors import ConfigError
from refsav.extras import require

if TYPE_CHECKING:
    from refsav.model.media.clip import Clip
    from refsav.model.prediction import TextAnswer
    from refsav.model.sa2va import Sa2VA
    from refsav.model.tasks import Task, TaskResult

TaskName = Literal["ask", "segment", "caption", "grounded-caption", "region", "track"]

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def predict(
    checkpoint: Path,
    source: Path,
    texts: Sequence[str],
    *,
    task: TaskName | None,
    marks: Sequence[str],
    masks: Sequence[Path],
    folder: Path | None,
    device: str | None,
    dtype: str | None,
    original_sam2: Path | None,
    allow_pickle: bool,
    overrides: Mapping[str, Any],
) -> None:
    """Run one task and print where its result is. Raises RefSavError if an argument or a file is not valid."""
    kind = task or _default_task(texts, marks, masks)
    _check(kind, texts, marks, masks)
    require("model", "torch", "transformers", "sam2")
    from refsav.model.inference_settings import InferenceSettings
    from refsav.model.media.clip import open_clip

    settings = InferenceSettings.from_mapping(overrides, "command line")
    clip = open_clip(source)
    with err.status("loading the checkpoint", spinner="line"):
        from refsav.model.sa2va import Sa2VA
        from refsav.model.tasks import run_to_folder

        model = Sa2VA.from_pretrained(
            checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
        )
    what = _task(model, clip, kind, texts, marks, masks)
    target = folder or Path(f"{clip.name}-{kind}")
    with _progress(clip.count) as bar:
        on_answers = partial(_print_answers, kind)
        result = run_to_folder(model, clip, what, target, settings=settings, on_answers=on_answers, on_progress=bar)
    _print_result(kind, result, clip, target)


def _default_task(texts: Sequence[str], marks: Sequence[str], masks: Sequence[Path]) -> TaskName:
    if texts:
        return "ask"
    if masks:
        return "region"
    return "track" if marks else "caption"


def _check(kind: TaskName, texts: Sequence[str], marks: Sequence[str], masks: Sequence[Path]) -> None:
    if kind in ("ask", "segment") and not texts:
        raise ConfigError(f"--task {kind} needs a text", fix="give one or several after the input, each in quotes")
    if kind == "track" and not marks:
        fix = 'give each object as --mark "120,80" or --mark "10,20,200,240"'
        raise ConfigError("--task track needs marks", fix=fix)
    if kind == "region" and not (marks or masks):
        raise ConfigError("--task region needs regions", fix="give --mark or --mask, once for each")
    if masks and kind != "region":
        raise ConfigError(f"--mask is for --task region, not {kind}", fix="leave it out, or use --task region")
    if any(not text.strip() for text in texts):
        raise ConfigError("a text is empty", fix="write a question, or the name of an object")


def _task(
    model: "Sa2VA", clip: "Clip", kind: TaskName, texts: Sequence[str], marks: Sequence[str], masks: Sequence[Path]
) -> "Task":
    from refsav.model import tasks
    from refsav.model.sam.point_prompt_syntax import read_object

    objects = [read_object(mark) for mark in marks]
    if kind == "ask":
        return tasks.ask(*texts)
    if kind == "segment":
        return tasks.segment(*texts, video=clip.count > 1)
    if kind == "caption":
        return tasks.caption(video=clip.count > 1)
    if kind == "grounded-caption":
        return tasks.grounded_caption()
    if kind == "track":
        return tasks.track(objects)
    given = [_read_mask(path, clip) for path in masks]
    return tasks.describe_regions([*tasks.regions_of(model, clip, [marks[0] for marks in objects]), *given])


def _read_mask(path: Path, clip: "Clip") -> Any:  # noqa: ANN401 - bool [h, w]; numpy is not loaded for --help
    from refsav.errors import RecordError
    from refsav.model.media.clip import open_clip

    image = open_clip(path)
    if (image.height, image.width) != (clip.height, clip.width):
        raise RecordError(
            path,
            "",
            f"is {image.width}x{image.height}, the input is {clip.width}x{clip.height}",
            "give a mask of the input's size; the region is all that is not black",
        )
    return next(image.frames([0]))[1].any(axis=-1)


class _progress:  # noqa: N801 - a context manager that reads like a function
    """Shows how many frames are done, on a terminal."""

    def __init__(self, frame_count: int) -> None:
        self._bar = Progress(
            TextColumn("masks"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal or frame_count == 1,
        )
        self._task = self._bar.add_task("", total=frame_count, visible=False)

    def __enter__(self) -> "_progress":
        self._bar.start()
        return self

    def __call__(self, done: int) -> None:
        self._bar.update(self._task, completed=done, visible=True)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _print_answers(kind: TaskName, answers: Sequence["TextAnswer"]) -> None:
    for one in answers:
        if len(answers) > 1:
            out.print(f"[dim]{escape(one.prompt.replace('<image>', '').strip())}[/]")
        out.print(escape(one.text))
        if not one.complete:
            err.print("[yellow]the answer was cut off[/]; allow more with --new-tokens")
        if not one.phrases and kind not in ("caption", "region"):
            err.print("no mask: the answer has no [SEG]", markup=False)


def _print_result(kind: TaskName, result: "TaskResult", clip: "Clip", folder: Path) -> None:
    if result.object_count:
        shown, used = "image" if clip.count == 1 else "video", result.settings
        has_propagation = shown == "video" and kind != "track"
        how = f", propagation {used.propagation}, key frames {used.key_frames}" if has_propagation else ""
        out.print(f"masks: {result.object_count} x {clip.count} {'frame' if clip.count == 1 else 'frames'}{how}")
        name = "overlay.png" if shown == "image" else "overlay.mp4"
        out.print(f"{shown}: {escape(str(folder / name))}")
    out.print(f"result: {escape(str(folder / 'result.json'))}")
