"""Run a suite with a checkpoint, as the command line and the flows do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from refsav.benchmarks.result import BenchmarkResult, Setup
from refsav.benchmarks.sa2va_answerer import Sa2vaAnswerer
from refsav.benchmarks.suite_runner import run_suite
from refsav.benchmarks.suites.suite import AnySuite
from refsav.errors import RefSavError
from refsav.model.checkpoints.checkpoint import checkpoint_digest
from refsav.model.inference_settings import InferenceSettings
from refsav.model.sa2va import Sa2VA

SPEED_ONLY = {"prompts_at_once", "objects_at_once"}
"""Inference settings that change the speed but no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedModel:
    """A checkpoint that is evaluated: the loaded model with its name and digest."""

    model: Sa2VA
    name: str
    """Name of its folder."""
    digest: str
    """SHA-256 over weights, configuration and tokenizer."""

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        *,
        device: str | None = None,
        dtype: str | None = None,
        original_sam2: Path | None = None,
        allow_pickle: bool = False,
    ) -> Self:
        """Load a checkpoint.

        Args:
            checkpoint: Directory of a Sa2VA checkpoint.
            device: Where to run, such as "cuda:1"; None: a GPU if there is one.
            dtype: Type of the weights, such as "bfloat16"; None: by the device.
            original_sam2: Checkpoint of the original SAM-2, to use in place of the model's own weights.
            allow_pickle: Also read weights from pickle files.

        Raises:
            RecordError: If a file of the checkpoint cannot be read.
        """
        model = Sa2VA.from_pretrained(
            checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
        )
        digest = checkpoint_digest(checkpoint, *([original_sam2] if original_sam2 else []))
        return cls(model=model, name=checkpoint.resolve().name, digest=digest)


def measure(
    evaluated: EvaluatedModel,
    suite: AnySuite,
    settings: InferenceSettings,
    folder: Path,
    *,
    limit: int = 0,
    failed_share: float = 0.0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BenchmarkResult:
    """Run a suite with a checkpoint, or resume an earlier run.

    Args:
        evaluated: The checkpoint.
        suite: The benchmark, opened on its dataset.
        settings: Settings of inference.
        folder: Folder of the run.
        limit: Number of images or videos to use; 0: all.
        failed_share: Share of the items that may fail, fraction 0-1.
        on_progress: Called with the number of items that are done.

    Raises:
        RefSavError: If the GPU's memory is not enough; or as `run_suite` raises.
    """
    model = evaluated.model
    used = model.resolve_settings(settings)
    dtype = str(next(model.mllm.parameters()).dtype).removeprefix("torch.")
    setup = Setup.of(
        suite,
        items_of(suite, limit),
        evaluated.name,
        evaluated.digest,
        {**used.model_dump(exclude=SPEED_ONLY), "dtype": dtype},
    )
    try:
        return run_suite(
            suite, Sa2vaAnswerer(model, used), folder, setup, failed_share=failed_share, on_progress=on_progress
        )
    except torch.OutOfMemoryError as error:
        fix = "lower --objects-at-once and --prompts-at-once, then run the same command again: it resumes"
        raise RefSavError(f"the GPU's memory is not enough: {error}", fix=fix) from error


def items_of(suite: AnySuite, limit: int) -> int:
    """Return the number of images or videos to use."""
    return min(limit, len(suite.dataset)) if limit else len(suite.dataset)
