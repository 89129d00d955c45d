"""What the gallery says of one object: one line of any text, errors by their kind, the size of its pictures."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.gallery.entries import entry_of, jpeg_size, line_of
from refsav.annotators.stages.views import encode_view
from refsav.datasets.records import Failed, ObjectKey
from tests.support.data.made_gallery import expression, track


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (480, 9)])
def test_the_size_of_a_jpeg_is_read_from_its_header(size: tuple[int, int]) -> None:
    assert jpeg_size(encode_view(np.zeros((*size, 3), np.uint8), 90)) == size
    plain = cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))[1].tobytes()
    assert jpeg_size(plain) == size


@given(st.text(max_size=300))
def test_any_text_is_one_ascii_line_that_reads_back(text: str) -> None:
    entry = entry_of(expression(track("sav_1", 0), text), None, None, "")
    line = json.dumps(entry)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["expression"] == text
    assert "\n" not in line_of(entry).search


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("the model refused: 'I am sorry'", "the model refused"),
        ("/a b/sav_1.mp4: the video is missing; fix: put it there", "the video is missing"),
        ("/x/sav_1.mp4:frame 12: cannot be decoded: Invalid data; fix: copy it", "cannot be decoded"),
        ("HTTP 500 after 6 tries", "HTTP … after … tries"),
        ("no colon " * 20, ("no colon " * 20)[:80]),
    ],
)
def test_errors_of_one_kind_are_filtered_together(error: str, kind: str) -> None:
    failed = Failed(key=ObjectKey("sav_1", "auto", 0), column=0, stage="scene", error=error, request_digest="")
    assert line_of(entry_of(failed, None, None, "")).why == kind
