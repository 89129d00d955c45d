"""Time of one call as in Sa2VA, Table 19: 5 frames in memory, 1,280 image tokens, "Please segment the man."."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from refsav.benchmarks.published_figures import published_rows
from refsav.datasets.frames import Image
from refsav.model.inference_settings import InferenceSettings
from refsav.model.language.generate import answer
from refsav.model.language.inference_prompts import segment as segment_prompt
from refsav.model.media.clip import as_clip
from refsav.model.sa2va import Sa2VA

Result = TypeVar("Result")

FRAME_COUNT, IMAGE_TOKENS = 5, 1280
SIDE_PX = 512
ANSWER = "Sure, [SEG]."

PAPER_SECONDS = {row.model: row.figures["call", "seconds"] for row in published_rows("speed")}
"""Seconds on one H100 by the size of the language model with its vision tower: Sa2VA, Table 19."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of the parts of one call, medians over the rounds."""

    parts: dict[str, float]
    total: float
    image_tokens: int
    rounds: int
    peak_bytes: int
    """Peak of the GPU's memory; 0 on a CPU."""
    device: str


def measure_latency(model: Sa2VA, *, rounds: int = 10) -> Latency:
    """Time calls after one warm-up call.

    The model is forced to answer "Sure, [SEG]." token by token, so that random weights cause the same work as trained
    ones.
    """
    frames = _frames()
    taken = [_one_call(model, frames) for _ in range(rounds + 1)][1:]
    parts = {name: statistics.median(call[name] for call in taken) for name in taken[0]}
    cuda = torch.cuda.is_available() and next(model.parameters()).is_cuda
    return Latency(
        parts=parts,
        total=statistics.median(sum(call.values()) for call in taken),
        image_tokens=sum(model.adapter.encode_frames(frames, ()).tokens_per_frame),
        rounds=rounds,
        peak_bytes=torch.cuda.max_memory_allocated() if cuda else 0,
        device=torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
    )


def open_or_create(origin: Path, *, device: str | None, dtype: str | None) -> Sa2VA:
    """Load a checkpoint, or create random weights of the sizes in a TOML file, with 1,280 image tokens in five frames.

    Args:
        origin: Directory of a checkpoint, or TOML file of sizes.
        device: Where to run; None: a GPU if there is one.
        dtype: Type of the weights; None: bfloat16 on a GPU, float32 on a CPU.
    """
    if origin.is_dir():
        return Sa2VA.from_pretrained(origin, device=device, dtype=dtype)
    from refsav.model.creation.create import create, usual_tokenizer
    from refsav.model.creation.model_sizes import ModelConfig

    tokens = IMAGE_TOKENS // FRAME_COUNT
    config = ModelConfig.from_toml(origin)
    if "shown_pixels" in config.entry.own_sizes:
        cell = 2 * config.vision.patch_px
        config = config.model_copy(update={"shown_pixels": (tokens * cell**2, tokens * cell**2)})
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    usual = "bfloat16" if where.startswith("cuda") else "float32"
    config = config.model_copy(update={"dtype": dtype or usual})
    return create(config, usual_tokenizer(config), device=where)


def _one_call(model: Sa2VA, frames: Sequence[Image]) -> dict[str, float]:
    times: dict[str, float] = {}
    mllm = model.adapter
    settings = InferenceSettings(key_frames=f"first-{FRAME_COUNT}", propagation="official")

    def timed(name: str, work: Callable[[], Result]) -> Result:
        _settle()
        begun = time.perf_counter()
        result = work()
        _settle()
        times[name] = time.perf_counter() - begun
        return result

    with torch.inference_mode():
        sight = timed("vision tower", lambda: mllm.encode_frames(frames, ()))
        prompt = mllm.write(segment_prompt("the man", video=True), sight)
        said = timed("language model", lambda: answer(mllm, sight, [prompt], dictated=mllm.answer_ids(ANSWER)))
        weight = next(model.text_hidden_fcs.parameters())
        language = model.text_hidden_fcs(said[0].seg_states.to(weight))
        found = timed("SAM-2", lambda: list(model.segment(as_clip(frames), language, settings=settings)))
        timed(
            "masks at full size",
            lambda: [model.full_size(one.logits, SIDE_PX, SIDE_PX) for one in found],
        )
    return times


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _frames() -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8) for _ in range(FRAME_COUNT)]
