"""A preview is a film of its object: the outline where it is, none where it is hidden."""

import io
from collections.abc import Iterator

import av
import numpy as np

from refsav.annotators.gallery.preview import encode_preview, outlined_frames
from tests.support.data.made_gallery import ROWS, SIZE, track


def film_of(frames: int) -> Iterator[np.ndarray]:
    grey = np.full((*SIZE, 3), 110, np.uint8)
    made = encode_preview(outlined_frames([grey] * frames, track("sav_1", 0, hidden=(2,))), SIZE, 6.0)
    with av.open(io.BytesIO(made)) as container:
        assert float(container.streams.video[0].average_rate) == 6.0
        yield from (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


def test_a_film_has_the_outline_where_the_object_is_and_none_where_it_is_hidden() -> None:
    frames = list(film_of(ROWS))
    assert len(frames) == ROWS
    yellow = [int(((frame[..., 0] > 200) & (frame[..., 1] > 200) & (frame[..., 2] < 90)).sum()) for frame in frames]
    assert yellow[2] == 0
    assert min(yellow[:2] + yellow[3:]) > 100


def test_a_film_of_odd_size_loses_a_row_and_has_the_same_bytes_every_time() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (5, 33, 47, 3), dtype=np.uint8)
    first, second = (encode_preview(list(noise), (33, 47), 6.0) for _ in range(2))
    assert first == second
    with av.open(io.BytesIO(first)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.height, stream.codec_context.width) == (32, 46)
