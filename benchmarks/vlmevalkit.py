"""Sa2VA as a model of VLMEvalKit, which runs the chat benchmarks: MME, MMBench, SEED-Bench, AI2D, MMStar, MMMU, …

Published chat figures of Sa2VA come from a copy of that harness; questions are worded as its adapter there words them.
The harness is not on PyPI: it is cloned and installed beside RefSAV (docs/benchmarking.md).
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
"""What the harness is told with --model."""

OPTIONS_END = "\nAnswer with the option's letter from the given choices directly."
NO_OPTIONS_END = "\nAnswer the question directly."
SHORT = "Answer the question using a single word or phrase."

LOOKS = InferenceSettings(key_frames="all", propagation="none")
"""The language model sees every picture of a question; nothing is segmented."""


class HarnessMissingError(RefSavError):
    """VLMEvalKit is not installed."""


def question_of(line: Mapping[str, Any], kind: str) -> str:
    """Word a line of a benchmark's table.

    Args:
        line: With `question`, and for multiple choice `A`, `B`, … and perhaps `hint`; what is not there may be NaN.
        kind: As the harness has it: MCQ, Y/N, VQA, or another, which is asked as it stands.
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
    """Answer a message of the harness: pieces of `type` text, image or video, whose `value` is a text or a file.

    Raises:
        InputError: If there is no picture in it, or nothing is asked.
        RecordError: If a file cannot be read.
    """
    text = "\n".join(piece["value"] for piece in message if piece["type"] == "text").strip()
    if not text:
        raise InputError("nothing is asked", "leave the question out")
    (said,) = model.generate_text(_clip_of(message), [text.replace("<image>", "")], settings=LOOKS)
    return said.text.strip()


def register(checkpoint: str | Path, name: str = NAME, *, device: str | None = None, dtype: str | None = None) -> None:
    """Make a checkpoint known to the harness by a name; it is loaded when the harness asks for it.

    Raises:
        HarnessMissingError: If VLMEvalKit is not installed.
    """
    if find_spec("vlmeval") is None:
        raise HarnessMissingError(
            "vlmeval: not installed; chat benchmarks are run by VLMEvalKit\n"
            "  fix: git clone https://github.com/open-compass/VLMEvalKit && pip install -e VLMEvalKit"
        )
    from vlmeval.config import supported_VLM
    from vlmeval.dataset import DATASET_TYPE
    from vlmeval.vlm.base import BaseModel

    class Sa2vaChat(BaseModel):  # type: ignore[misc]  # of a package without types
        """As the harness wants a model: its own questions go through, tables are worded by `question_of`."""

        INTERLEAVE = True

        def __init__(self, path: str | Path, **_: object) -> None:
            super().__init__()
            self._model = Sa2VA.from_pretrained(path, device=device, dtype=dtype)

        def use_custom_prompt(self, dataset: str) -> bool:
            return DATASET_TYPE(dataset) in ("MCQ", "Y/N", "VQA") and "Video" not in dataset

        def build_prompt(self, line: Mapping[str, Any], dataset: str) -> list[dict[str, str]]:
            pictures = [{"type": "image", "value": path} for path in self.dump_image(line, dataset)]
            return [*pictures, {"type": "text", "value": question_of(line, DATASET_TYPE(dataset))}]

        def generate_inner(self, message: Sequence[Mapping[str, str]], dataset: str | None = None) -> str:
            del dataset
            return ask(self._model, message)

    supported_VLM[name] = partial(Sa2vaChat, checkpoint)


def _clip_of(message: Sequence[Mapping[str, str]]) -> Clip:
    files = [Path(piece["value"]) for piece in message if piece["type"] in ("image", "video")]
    if not files:
        raise InputError("the question has no picture", "leave it out: Sa2VA is asked about what it sees")
    return open_clip(files[0]) if len(files) == 1 else open_frames(files, files[0].stem)


def _has(line: Mapping[str, Any], key: str) -> bool:
    """Whether a cell is there; what the table does not have is NaN, which differs from itself."""
    return key in line and line[key] is not None and line[key] == line[key]
