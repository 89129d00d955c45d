"""Benchmarks' figures are those of the official scripts."""

import pytest

from refsav.benchmarks.metrics.expression_scores import SCRIPT_DECIMALS, grouped_score, mean_score
from refsav.benchmarks.metrics.j_and_f import VideoScore, frame_scores
from tests.support.data.metric_data import masks, recorded

KINDS = {0: "long", 1: "short"}


def score(j: float, f: float) -> VideoScore:
    return VideoScore(j=j, f=f, frames=1)


def recorded_scores() -> dict[str, list[VideoScore]]:
    data = recorded("ref_sav")
    groups: dict[str, list[VideoScore]] = {"long": [], "short": []}
    for expression in data["expressions"]:
        truth, found = (masks(data["size"], expression[side]) for side in ("truth", "found"))
        one = frame_scores(truth, found).score("all")
        assert one is not None
        groups[KINDS[expression["type_id"]]].append(one)
    return groups


def test_ref_sav_scores_as_the_official_script() -> None:
    figures = recorded("ref_sav")["figures"]
    found = grouped_score(recorded_scores())
    for name, mean in (*found.groups.items(), ("overall", found.overall)):
        assert (mean.j, mean.f, mean.jf) == pytest.approx([figures[name][key] for key in ("J", "F", "JF")], abs=1e-9)
    assert {name: mean.expressions for name, mean in found.groups.items()} == {"long": 4, "short": 2}
    assert found.overall.expressions == 6


def test_groups_weigh_the_same_however_many_expressions_they_have() -> None:
    found = grouped_score({"long": [score(1, 1)] * 9, "short": [score(0, 0.5)]})
    assert (found.overall.j, found.overall.f, found.overall.jf) == (50, 75, 62.5)
    assert mean_score([score(1, 1)] * 9 + [score(0, 0.5)]).j == pytest.approx(90)


def test_a_group_without_expressions_is_left_out() -> None:
    found = grouped_score({"long": [score(0.25, 0.75)], "short": []})
    assert set(found.groups) == {"long"} and found.overall == found.groups["long"]
    with pytest.raises(ValueError, match="no group has an expression"):
        grouped_score({"long": [], "short": []})
    with pytest.raises(ValueError, match="no expression"):
        mean_score([])


def test_expressions_are_rounded_where_the_script_rounds_them() -> None:
    scores = [score(1 / 3, 2 / 3), score(1 / 3, 2 / 3), score(1 / 3, 2 / 3)]
    assert mean_score(scores).j == pytest.approx(100 / 3, abs=1e-12)
    assert mean_score(scores, SCRIPT_DECIMALS).j == pytest.approx(33.33, abs=1e-12)
    assert mean_score(scores, SCRIPT_DECIMALS).f == pytest.approx(66.67, abs=1e-12)
