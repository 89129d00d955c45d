"""Kappas are those of the papers' own worked examples, and behave at the edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.statistics.agreement import agreement, cohen_kappa, fleiss_kappa

FLEISS_TABLE = [
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
]
"""Ten subjects, fourteen raters, five categories: kappa is 0.210."""


def test_cohens_kappa_of_a_table_worked_by_hand():
    # 20 times both say yes, 15 times both no, 5 and 10 times they differ: (0.7 - 0.5) / (1 - 0.5)
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_fleiss_kappa_of_the_known_table():
    votes = [dict(enumerate(row)) for row in FLEISS_TABLE]
    assert fleiss_kappa([{str(name): count for name, count in one.items()} for one in votes]) == pytest.approx(
        0.210, abs=5e-4
    )


def test_where_everybody_always_says_the_same_chance_does_too():
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None
    assert fleiss_kappa([{"a": 3}, {"a": 2}]) is None
    assert cohen_kappa([], []) is None and fleiss_kappa([]) is None


def test_two_annotators_are_cohens_and_more_are_fleiss():
    two = agreement([{"ann": "accept", "bob": "accept"}, {"ann": "reject", "bob": "accept"}, {"ann": "fix"}])
    assert (two.objects, two.annotators, two.share, two.measure) == (2, 2, 0.5, "cohen")
    assert two.kappa == pytest.approx(0.0)
    three = agreement([{"ann": "a", "bob": "a"}, {"bob": "b", "eve": "b"}, {"ann": "a", "bob": "a", "eve": "b"}])
    assert (three.objects, three.annotators, three.measure) == (3, 3, "fleiss")
    assert three.share == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_nobody_and_one_alone_agree_on_nothing():
    assert agreement([]).objects == 0
    alone = agreement([{"ann": "accept"}])
    assert (alone.objects, alone.share, alone.kappa) == (0, 0.0, None)


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=4), min_size=1, max_size=20))
def test_a_kappa_lies_between_minus_one_and_one(said):
    found = agreement([{str(place): one for place, one in enumerate(judged)} for judged in said])
    assert found.kappa is None or -1.0 <= found.kappa <= 1.0
    assert 0.0 <= found.share <= 1.0
