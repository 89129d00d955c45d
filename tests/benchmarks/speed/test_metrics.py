"""J and F are timed beside the reference's steps, on masks that both score alike."""

from pathlib import Path

import numpy as np
import pytest

from refsav.benchmarks.metrics.j_and_f import frame_scores
from refsav.benchmarks.speed.metrics import ellipses, measure_metrics, moved, plain_scores
from refsav.errors import RecordError
from tests.support.data.metric_data import masks, recorded


def test_metrics_are_measured_on_real_and_on_large_objects(sav_data: Path) -> None:
    measured = measure_metrics(sav_data, rounds=1)
    assert measured.title == "metrics: J and F of masks of 848x480, one core"
    real, large = measured.ratios
    assert real.name == "J and F, 13 objects of sav_000001_head: the reference's steps / ours"
    assert real.bar is not None and (real.bar.direction, real.bar.value) == ("at least", 10.0)
    assert large.bar is None
    assert all(ratio.median > 2 for ratio in measured.ratios)  # what it really is, `make bench` says
    assert {quantity.unit for quantity in measured.quantities} == {"ms a frame"}


def test_the_plain_steps_are_those_of_the_reference() -> None:
    for case in recorded("videos"):
        truth, found = masks(case["size"], case["truth"]), masks(case["size"], case["found"])
        j, f = plain_scores(truth, found)
        assert j == pytest.approx(np.array(case["J"]), abs=1e-12), case["name"]
        assert f == pytest.approx(np.array(case["F"]), abs=1e-12), case["name"]


def test_the_made_object_covers_most_of_the_frame_and_is_scored() -> None:
    truth, found = moved(ellipses(120, 160, frames=3))
    assert 0.6 < truth.mean() < 0.7
    scores = frame_scores(truth, found)
    assert ((scores.j > 0.8) & (scores.j < 1)).all()


def test_a_folder_without_the_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no sav_000001_head"):
        measure_metrics(tmp_path)
