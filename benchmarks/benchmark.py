"""A checkpoint measured on a suite: what the command line and the flows do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from refsav.benchmarks.result import Result, Setup
from refsav.benchmarks.sa2va_answerer import ModelAnswers
from refsav.benchmarks.suite_runner import run_suite
from refsav.benchmarks.suites.suite import AnySuite
from refsav.errors import RefSavError
from refsav.model.checkpoints.checkpoint import checkpoint_digest
from refsav.model.inference_settings import InferenceSettings
from refsav.model.sa2va import Sa2VA

SPEED_ONLY = {"prompts_at_once", "objects_at_once"}
"""Settings that no answer depends on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A checkpoint that is measured."""

    model: Sa2VA
    name: str
    digest: str

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
        """Read a checkpoint. Raises RecordError."""
        model = Sa2VA.from_pretrained(
            checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
        )
        digest = checkpoint_digest(checkpoint, *([original_sam2] if original_sam2 else []))
        return cls(model=model, name=checkpoint.resolve().name, digest=digest)


def measure(
    candidate: Candidate,
    suite: AnySuite,
    settings: InferenceSettings,
    folder: Path,
    *,
    limit: int = 0,
    failed_share: float = 0.0,
    progress: Callable[[int], None] = lambda _: None,
) -> Result:
    """Run a suite with a checkpoint, or the rest of it; see `run_suite` for what it raises.

    Args:
        candidate: Who is measured.
        suite: On what.
        settings: How it is asked.
        folder: Where everything goes.
        limit: Images or videos that are taken; 0 for all.
        failed_share: Part of the items that may fail, fraction 0-1.
        progress: Called with the number of items done.
    """
    model = candidate.model
    used = model.resolve_settings(settings)
    dtype = str(next(model.mllm.parameters()).dtype).removeprefix("torch.")
    setup = Setup.of(
        suite,
        items_of(suite, limit),
        candidate.name,
        candidate.digest,
        {**used.model_dump(exclude=SPEED_ONLY), "dtype": dtype},
    )
    try:
        return run_suite(suite, ModelAnswers(model, used), folder, setup, failed_share=failed_share, progress=progress)
    except torch.OutOfMemoryError as error:
        fix = "lower --objects-at-once and --prompts-at-once, then run the same command again: it resumes"
        raise RefSavError(f"the GPU's memory is not enough: {error}\n  fix: {fix}") from error


def items_of(suite: AnySuite, limit: int) -> int:
    """How many images or videos are taken."""
    return min(limit, len(suite.dataset)) if limit else len(suite.dataset)
