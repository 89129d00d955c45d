"""A sample for review is like the whole: every stratum has its share, one seed gives one sample."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from refsav.annotators.review.sample import ReviewedObject, stratified
from refsav.datasets.records import ObjectKey


def made(count):
    """Objects of three lengths and three sizes; every fifth is often hidden."""
    return [
        ReviewedObject(
            key=ObjectKey(f"v{place:04d}", "manual", place % 4),
            words=10 + 20 * (place % 3),
            area_share=0.01 + 0.1 * (place // 3 % 3),
            occluded_share=0.5 * (place % 5 == 0),
        )
        for place in range(count)
    ]


def stratum(one):
    return one.words, one.area_share, one.occluded_share


def test_every_stratum_has_its_share_to_within_one():
    objects = made(450)
    chosen = stratified(objects, 90, occluded_share=0.1, seed=1)
    assert len(chosen) == 90
    whole = Counter(map(stratum, objects))
    drawn = Counter(stratum(one) for one in objects if one.key in chosen)
    assert len(whole) == 18
    assert all(abs(drawn[name] - count / 5) <= 1 for name, count in whole.items())


def test_the_same_seed_draws_the_same_in_any_order_and_another_draws_others():
    objects = made(100)
    first = stratified(objects, 20, occluded_share=0.1, seed=1)
    assert stratified(objects[::-1], 20, occluded_share=0.1, seed=1) == first
    assert stratified(objects, 20, occluded_share=0.1, seed=2) != first


def test_a_dataset_that_has_grown_is_asked_about_by_nearly_the_same_sample():
    before = stratified(made(400), 100, occluded_share=0.1, seed=1)
    after = stratified(made(440), 100, occluded_share=0.1, seed=1)
    assert len(before & after) >= 80
    assert len(stratified(made(400), 20, occluded_share=0.1, seed=1) & before) >= 15


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 50), st.integers(0, 3))
def test_it_has_as_many_as_asked_and_zero_means_all(there, count, seed):
    chosen = stratified(made(there), count, occluded_share=0.1, seed=seed)
    assert len(chosen) == (min(count, there) or there)


def test_an_object_is_measured_by_its_words_its_size_and_what_hides_it(make_track, make_expression):
    track = make_track(((0, 0, 12, 10), None, (0, 0, 12, 10)), size=(60, 80))
    one = ReviewedObject.of(make_expression(track, "Four words it has."))
    assert (one.words, one.area_share, one.occluded_share) == (4, 120 / 4800, 1 / 3)
