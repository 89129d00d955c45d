"""Equal causes get equal words, whatever file or number they are about."""

import pytest

from refsav.datasets.records import Dropped, Failed, ObjectKey
from refsav.datasets.statistics.loss_reasons import cause_of


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("/data/sav/a.mp4: the video is missing; fix: put it next to its annotations", "the video is missing"),
        (
            "a/b_manual.json:masklet[5][1]: mask is 640x384, the video 384x640 (height x width); fix: x",
            "mask is …x…, the video …x… (height x width)",
        ),
        ("object-crop: 3 attempts, the last: the reply is empty: ''", "the reply is empty"),
        ("video: 3 attempts, the last: the model refused: 'I cannot: no'", "the model refused"),
        (
            "b_manual.json:masklet: has 22 rows, 90 video frames need 23 (every 4th)",
            "has … rows, … video frames need … (every …th)",
        ),
        ("", "unknown"),
    ],
)
def test_failures_are_named_by_their_problem(error: str, cause: str) -> None:
    failed = Failed(key=ObjectKey("v", "manual", 0), column=0, stage="source", error=error, request_digest="")
    assert cause_of(failed) == cause


def test_drops_are_named_by_their_rule(make_track) -> None:
    small = Dropped(track=make_track(), stage="filter", reason="too small: largest mask 3 px, min_area_px is 25")
    judged = Dropped(track=make_track(), stage="judge", reason="The first says red, the second blue.")
    assert cause_of(small) == "too small"
    assert cause_of(judged) == "the two descriptions contradict each other"
