"""Videos in memory and in files: the same frames, the input's frame rate, and no broken file after an error."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from refsav.datasets.frames import Image
from refsav.datasets.video_writer import H264, VideoWriter, encode_mp4

SIZE = (32, 48)
GREYS = (0, 60, 120, 180, 240)


def frames() -> Iterator[Image]:
    return (np.full((*SIZE, 3), grey, np.uint8) for grey in GREYS)


def greys_of(file: io.BytesIO | str) -> tuple[list[int], Fraction | None]:
    with av.open(file) as container:
        rate = container.streams.video[0].average_rate
        return [round(float(frame.to_ndarray(format="gray8").mean())) for frame in container.decode(video=0)], rate


def test_a_file_and_a_buffer_show_the_same_frames_at_the_same_rate(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    writer = VideoWriter(path, SIZE, 30000 / 1001)
    for frame in frames():
        writer.add(frame)
    writer.finish()
    made = encode_mp4(frames(), SIZE, 30000 / 1001, H264())
    greys, rate = greys_of(str(path))
    assert (greys, rate) == greys_of(io.BytesIO(made))
    assert len(greys) == len(GREYS)
    assert greys == sorted(greys)
    assert rate == Fraction(30000, 1001)
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat"), "browsers play it before it is complete"


def test_an_error_of_the_frames_comes_through() -> None:
    def broken() -> Iterator[Image]:
        yield from frames()
        raise RuntimeError("a frame cannot be decoded")

    with pytest.raises(RuntimeError, match="cannot be decoded"):
        encode_mp4(broken(), SIZE, 24, H264())
