"""Sa2VA as a model of VLMEvalKit, which runs the chat benchmarks: MME, MMBench, SEED-Bench, AI2D, MMStar, MMMU, …

The published chat scores of Sa2VA come from a copy of that harness; the prompts are those of its adapter for Sa2VA. The
harness is not on PyPI: clone it and install it in the environment of RefSAV (docs/benchmarking.md).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from refsav.errors import RefSavError
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip, open_clip, open_frames
from refsav.model.sa2va import Sa2VA

NAME = "RefSAV"
"""Name of the model for the harness: its option --model."""

OPTIONS_END = "\nAnswer with the option's letter from the given choices directly."
NO_OPTIONS_END = "\nAnswer the question directly."
SHORT = "Answer the question using a single word or phrase."

SETTINGS = InferenceSettings(key_frames="all", propagation="none")
"""The language model sees every image of a question; nothing is segmented."""


class HarnessMissingError(RefSavError):
    """VLMEvalKit is not installed."""


def question_of(line: Mapping[str, Any], kind: str) -> str:
    """Build the prompt for a row of a benchmark's table.

    Args:
        line: Has `question`, for multiple choice also `A`, `B`, … and optionally `hint`; missing cells may be NaN.
        kind: Type of the dataset in the harness: MCQ, Y/N or VQA; any other type is prompted with the bare question.
    """
    question = str(line["question"])
    if kind == "MCQ":
        hint = f"{line['hint']}\n" if _has(line, "hint") else ""
        options = "".join(f"\n{letter}. {line[letter]}" for letter in ascii_uppercase if _has(line, letter))
        return f"{hint}{question}{options}{OPTIONS_END if options else NO_OPTIONS_END}"
    if kind == "Y/N":
        return f"{question} {SHORT}"
    return f"{question}\n{SHORT}" if kind == "VQA" else question


def ask(model: Sa2VA, message: Sequence[Mapping[str, str]]) -> str:
    """Answer a message of the harness.

    Args:
        model: The model.
        message: Pieces with `type` (text, image or video) and `value` (the text or the path of the file).

    Raises:
        InputError: If the message has no text, or no image or video.
        RecordError: If a file cannot be read.
    """
    text = "\n".join(piece["value"] for piece in message if piece["type"] == "text").strip()
    if not text:
        raise InputError("the question has no text", "remove it from the benchmark")
    (said,) = model.generate_text(_clip_of(message), [text.replace("<image>", "")], settings=SETTINGS)
    return said.text.strip()


def register(checkpoint: str | Path, name: str = NAME, *, device: str | None = None, dtype: str | None = None) -> None:
    """Register a checkpoint with the harness; the harness loads it when it needs it.

    Args:
        checkpoint: Directory of a Sa2VA checkpoint.
        name: Name of the model for the harness.
        device: Where to run; None: a GPU if there is one.
        dtype: Type of the weights; None: by the device.

    Raises:
        HarnessMissingError: If VLMEvalKit is not installed.
    """
    if find_spec("vlmeval") is None:
        raise HarnessMissingError(
            "vlmeval is not installed; VLMEvalKit runs the chat benchmarks",
            fix="git clone https://github.com/open-compass/VLMEvalKit && pip install -e VLMEvalKit",
        )
    from vlmeval.config import supported_VLM
    from vlmeval.dataset import DATASET_TYPE
    from vlmeval.vlm.base import BaseModel

    class Sa2vaChat(BaseModel):  # type: ignore[misc]  # from a package without types
        """A model of the harness. `question_of` builds the prompts of tables; other messages pass unchanged."""

        INTERLEAVE = True

        def __init__(self, path: str | Path, **_: object) -> None:
            super().__init__()
            self._model = Sa2VA.from_pretrained(path, device=device, dtype=dtype)

        def use_custom_prompt(self, dataset: str) -> bool:
            return DATASET_TYPE(dataset) in ("MCQ", "Y/N", "VQA") and "Video" not in dataset

        def build_prompt(self, line: Mapping[str, Any], dataset: str) -> list[dict[str, str]]:
            images = [{"type": "image", "value": path} for path in self.dump_image(line, dataset)]
            return [*images, {"type": "text", "value": question_of(line, DATASET_TYPE(dataset))}]

        def generate_inner(self, message: Sequence[Mapping[str, str]], dataset: str | None = None) -> str:
            del dataset
            return ask(self._model, message)

    supported_VLM[name] = partial(Sa2vaChat, checkpoint)


def _clip_of(message: Sequence[Mapping[str, str]]) -> Clip:
    files = [Path(piece["value"]) for piece in message if piece["type"] in ("image", "video")]
    if not files:
        raise InputError("the question has no image", "remove it from the benchmark: Sa2VA needs an image or a video")
    return open_clip(files[0]) if len(files) == 1 else open_frames(files, files[0].stem)


def _has(line: Mapping[str, Any], key: str) -> bool:
    """Whether a cell has a value; a missing one is NaN, which differs from itself."""
    return key in line and line[key] is not None and line[key] == line[key]
