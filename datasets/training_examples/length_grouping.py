"""Group examples of similar length into batches, so that little of a batch is padding; otherwise at random."""

import numpy as np
import numpy.typing as npt

BATCHES_COMPARED = 50
"""Batches whose examples are sorted together: enough for similar lengths, few enough that epochs differ."""


def group_by_length(lengths: npt.NDArray[np.int64], batch: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Order positions so that the examples of each batch have similar lengths.

    Positions are shuffled, sorted within chunks of `BATCHES_COMPARED` batches, and the batches shuffled; positions that
    do not fill a batch come last. The same idea as `group_by_length` in transformers' Trainer.

    Args:
        lengths: int64 [N], approximate tokens of each example.
        batch: Examples per optimizer step, over all processes.
        random: Generator of the shuffles.

    Returns:
        int64 [N]: a permutation of 0 … N - 1.
    """
    positions = random.permutation(len(lengths))
    full = len(positions) // batch * batch
    size = batch * BATCHES_COMPARED
    chunks = [positions[start : min(start + size, full)] for start in range(0, full, size)]
    ordered = [chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks]
    batches = random.permutation(np.concatenate([*ordered, np.empty(0, np.int64)]).reshape(-1, batch))
    grouped: npt.NDArray[np.int64] = np.concatenate([batches.reshape(-1), positions[full:]]).astype(np.int64)
    return grouped
