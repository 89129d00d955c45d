"""What a gate lets through, and that it says why it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.statistics.properties import MeasureConfig
from refsav.datasets.statistics.run_statistics import Loss, Statistics
from refsav.flows.config.gates import (
    GatesConfig,
    Promoted,
    Score,
    drop_rate,
    reasons_not_to_promote,
    reasons_not_to_train,
)

GATES = GatesConfig(min_new_expressions=100, max_drop_rate=0.25)
IN_USE = Promoted(checkpoint="model", dataset_digest="0", expressions=500, jf=60.0)


def dataset(expressions: int, *, judged_out: int = 0, filtered: int = 0, failed: int = 0) -> Statistics:
    losses = (
        Loss(stage="judge", reason="the two descriptions contradict each other", count=judged_out),
        Loss(stage="filter", reason="too small", count=filtered),
    )
    return Statistics(
        objects_read=expressions + judged_out + filtered + failed,
        expressions=expressions,
        dropped=judged_out + filtered,
        failed=failed,
        unreadable_files=0,
        splits={},
        dropped_by=losses,
        failed_by=(),
        stages=(),
        measured_with=MeasureConfig(),
    )


def score(jf: float, *, held_out: str = "a", is_whole: bool = True) -> Score:
    return Score(jf=jf, held_out=held_out, is_whole=is_whole)


@pytest.mark.parametrize(
    ("statistics", "undone", "reported"),
    [
        (dataset(599), 0, "99 new expressions since the last promotion, 100 are needed"),
        (dataset(600, judged_out=201), 0, "the judge dropped 25.1% of the captioned objects, more than 25.0%"),
        (dataset(600, failed=1), 0, "1 objects failed, more than 0: see problems.txt"),
        (dataset(600), 2, "2 bundles are not done"),
    ],
)
def test_each_gate_refuses_by_itself_and_says_why(statistics: Statistics, undone: int, reported: str) -> None:
    assert reasons_not_to_train(statistics, undone, IN_USE, GATES) == [reported]


def test_a_dataset_that_is_grown_and_clean_is_let_through() -> None:
    assert reasons_not_to_train(dataset(600, judged_out=200, filtered=5000), 0, IN_USE, GATES) == []


def test_the_first_dataset_counts_from_nothing() -> None:
    assert reasons_not_to_train(dataset(100), 0, None, GATES) == []
    assert len(reasons_not_to_train(dataset(99), 0, None, GATES)) == 1


def test_filters_are_no_matter_of_the_judge_and_an_empty_dataset_has_a_rate() -> None:
    assert drop_rate(dataset(90, judged_out=10, filtered=1000)) == 0.1
    assert drop_rate(dataset(0)) == 0.0


@given(new=st.floats(0, 100), old=st.floats(0, 100))
def test_a_checkpoint_is_promoted_exactly_if_it_is_not_worse(new: float, old: float) -> None:
    assert bool(reasons_not_to_promote(score(new), score(old), GATES)) == (new < old)


def test_a_loss_may_be_allowed() -> None:
    lenient = GatesConfig(max_loss_points=1.0)
    assert reasons_not_to_promote(score(59.0), score(60.0), lenient) == []
    assert reasons_not_to_promote(score(58.9), score(60.0), lenient) != []


def test_the_first_checkpoint_is_promoted_if_its_benchmark_is_whole() -> None:
    assert reasons_not_to_promote(score(0.0), None, GATES) == []
    assert reasons_not_to_promote(score(99.0, is_whole=False), None, GATES) == ["the benchmark is incomplete"]


def test_figures_of_different_videos_are_not_compared() -> None:
    refused = ["the promoted checkpoint was not evaluated on the same held-out set"]
    assert reasons_not_to_promote(score(99.0), score(1.0, held_out="b"), GATES) == refused
    assert reasons_not_to_promote(score(99.0), score(1.0, is_whole=False), GATES) == refused
