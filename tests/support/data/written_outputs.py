"""An answer about synthetic frames, written as files."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.output.prediction_folder import PredictionFolder
from refsav.model.output.result_json import InputInfo, TaskAnswer

SIZE = (90, 120)

SEGMENT = TaskAnswer(text="Sure, it is [SEG].", task="segment", phrases=("the car", "一只狗"), settings={"frames": 5})

CHAT = TaskAnswer(text="A car & a dog.", task="chat", phrases=(), settings={})


def shown(count: int, size: tuple[int, int] = SIZE, rate_hz: float | Fraction = 24.0) -> InputInfo:
    return InputInfo(name="cars.mp4", size=size, count=count, rate_hz=rate_hz)


def picture(index: int, size: tuple[int, int] = SIZE) -> Image:
    """A frame unlike its neighbours: a bar that moves over a ground whose colour changes."""
    frame = np.zeros((*size, 3), np.uint8)
    frame[:] = (40 + 37 * index % 150, 200 - 53 * index % 150, 90)
    frame[:, index * 7 % size[1] :][:, :6] = 230
    return frame


def objects(index: int, size: tuple[int, int] = SIZE) -> list[Mask]:
    """One object that moves, and one that is hidden in every third frame."""
    moving, blinking = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    moving[index % size[0] :, : size[1] // 2 + 1] = True
    blinking[: 1 + size[0] // 4, -1 - size[1] // 4 :] = index % 3 > 0
    return [moving, blinking]


def write(folder: Path, count: int, size: tuple[int, int] = SIZE, rate_hz: float | Fraction = 24.0) -> Path:
    with PredictionFolder(folder, shown(count, size, rate_hz), SEGMENT) as output:
        for index in range(count):
            output.add(index, picture(index, size), objects(index, size))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
