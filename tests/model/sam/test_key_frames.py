"""Key frames are in the clip, in order and as many as asked for, whatever its length."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.model.inference_settings import InferenceSettings, Propagation
from refsav.model.input_errors import InputError
from refsav.model.sam.key_frames import DEFAULT_COUNT, key_frames

counts = st.integers(1, 3000)
wanted = st.integers(1, 40)


@given(counts, wanted, st.sampled_from(["first", "uniform"]))
def test_indices_are_in_the_clip_increasing_and_as_many_as_configured(count: int, number: int, kind: str) -> None:
    found = key_frames(f"{kind}-{number}", count)
    assert found == sorted(set(found))
    assert found[0] == 0 and found[-1] < count
    assert len(found) == min(number, count)


@given(counts, wanted)
def test_the_first_follow_one_another(count: int, number: int) -> None:
    assert key_frames(f"first-{number}", count) == list(range(min(number, count)))


@given(counts, st.integers(2, 40))
def test_uniform_ones_go_from_the_first_to_the_last_in_steps_that_differ_by_one_at_most(
    count: int, number: int
) -> None:
    found = key_frames(f"uniform-{number}", count)
    assert found[-1] == (count - 1 if len(found) > 1 else 0)
    steps = [after - before for before, after in pairwise(found)]
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0]),
        (2, [0, 1]),
        (5, [0, 1, 2, 3, 4]),
        (6, [0, 1, 2, 3, 5]),  # 3.75 is cut to 3, as in Sa2VA-i's released code
        (8, [0, 1, 3, 5, 7]),
        (100, [0, 24, 49, 74, 99]),
    ],
)
def test_five_uniform_ones_are_those_of_the_released_code(count: int, expected: list[int]) -> None:
    assert key_frames("uniform-5", count) == expected


@given(counts)
def test_all_are_all(count: int) -> None:
    assert key_frames("all", count) == list(range(count))


@given(st.data(), counts)
def test_given_indices_are_put_in_order_once_each(data: st.DataObject, count: int) -> None:
    indices = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=12))
    assert key_frames(",".join(map(str, indices)), count) == sorted(set(indices))


@given(counts, st.integers(0, 100))
def test_an_index_outside_the_clip_is_refused_by_number(count: int, beyond: int) -> None:
    with pytest.raises(InputError, match=f"key frame {count + beyond} is not in a clip of {count} frames"):
        key_frames(f"0,{count + beyond}", count)


@pytest.mark.parametrize("rule", ["", "first", "first-0", "uniform-", "uniform--1", "0,", "-1", "0 1", "1.5", "ALL"])
def test_what_is_no_rule_is_refused_with_those_that_are(rule: str) -> None:
    with pytest.raises(InputError, match="is no rule for key frames") as refused:
        key_frames(rule, 10)
    assert all(known in refused.value.fix for known in ("first-5", "uniform-5", "all"))


@pytest.mark.parametrize(
    ("original_decoder", "asked", "rule", "propagation"),
    [
        (False, {}, f"first-{DEFAULT_COUNT}", "official"),
        (True, {}, f"uniform-{DEFAULT_COUNT}", "consistent"),
        (True, {"propagation": "official"}, f"first-{DEFAULT_COUNT}", "official"),
        (False, {"propagation": "none"}, f"first-{DEFAULT_COUNT}", "none"),
        (True, {"key_frames": "all"}, "all", "consistent"),
    ],
)
def test_settings_choose_the_rule_that_suits_the_propagation(
    original_decoder: bool, asked: dict[str, str], rule: str, propagation: Propagation
) -> None:
    used = InferenceSettings.model_validate(asked).resolved(original_decoder=original_decoder)
    assert (used.key_frames, used.propagation) == (rule, propagation)
    assert used.resolved(original_decoder=not original_decoder) == used
