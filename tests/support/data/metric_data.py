"""Scores of the published evaluators for synthetic masks: tests/data/metrics, whose README says how they were made."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refsav.benchmarks.metrics.packed_masks import Masks
from refsav.datasets.masks import decode
from refsav.datasets.records import Rle

FOLDER = Path(__file__).parents[2] / "data/metrics"


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def masks(size: Sequence[int], counts: Sequence[str]) -> Masks:
    """bool [T, h, w]."""
    return np.stack([decode(rle(size, one)) for one in counts])


def rle(size: Sequence[int], counts: str) -> Rle:
    height, width = size
    return Rle((height, width), counts)
