"""Batches of examples that take about as many tokens, so that little of a batch is padding; otherwise at random."""

import numpy as np
import numpy.typing as npt

BATCHES_COMPARED = 50
"""Batches whose examples are sorted together: enough to be alike, few enough that epochs differ."""


def group_by_length(weights: npt.NDArray[np.int64], batch: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Order positions, int64 [N], so that those of each batch weigh much the same.

    Positions are shuffled, sorted in lots of `BATCHES_COMPARED` batches, and the batches shuffled; what does not fill a
    batch comes last.

    Args:
        weights: int64 [N], about how many tokens an example takes.
        batch: Examples that are stepped on together, over all processes.
        random: Decides.
    """
    positions = random.permutation(len(weights))
    full = len(positions) // batch * batch
    lot = batch * BATCHES_COMPARED
    lots = [positions[start : min(start + lot, full)] for start in range(0, full, lot)]
    ordered = [some[np.argsort(weights[some], kind="stable")] for some in lots]
    batches = random.permutation(np.concatenate([*ordered, np.empty(0, np.int64)]).reshape(-1, batch))
    grouped: npt.NDArray[np.int64] = np.concatenate([batches.reshape(-1), positions[full:]]).astype(np.int64)
    return grouped
