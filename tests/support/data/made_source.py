"""A source of numbered examples: each holds its number and the numbers that were drawn for it."""

from pathlib import Path

import numpy as np

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.errors import RecordError

BLACK = np.zeros((2, 2, 3), np.uint8)


class MadeSource:
    """Counts from 0; some of its examples cannot be used, some lack something."""

    files = ()

    def __init__(self, name: str, count: int, *, bad: set[int] = frozenset(), lacking: set[int] = frozenset()) -> None:
        self.name, self.count, self.bad, self.lacking = name, count, bad, lacking

    def __len__(self) -> int:
        return self.count

    def length_of(self, index: int) -> int:
        return 10 * index

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        if index in self.bad:
            raise RecordError(Path(self.name), str(index), "is broken", "mend it")
        return TrainingExample(
            name=f"{self.name} {index}",
            frames=(BLACK,),
            turns=(Turn("which?", str(random.random())),),
            masks=(),
            left_out=("an object has no expression",) if index in self.lacking else (),
        )
