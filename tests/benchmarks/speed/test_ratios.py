"""What a ratio is: rounds divided one by one, the middle one held to the bar, both sides taken in turns."""

import pytest

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns


def quantity(*rounds: float) -> Quantity:
    return Quantity(name="q", unit="s", rounds=rounds)


def test_rounds_are_divided_by_their_own_and_the_middle_one_counts() -> None:
    ratio = Ratio.of("r", quantity(10, 90, 12), quantity(5, 10, 4), Bar("at least", 3.0))
    assert ratio.rounds == (2, 9, 3)
    assert ratio.median == 3
    assert ratio.reached


@pytest.mark.parametrize(
    ("bar", "reached"),
    [(Bar("at least", 3.1), False), (Bar("at most", 3.0), True), (Bar("at most", 2.9), False), (None, None)],
)
def test_a_bar_that_is_missed_is_said_to_be_missed(bar: Bar | None, reached: bool | None) -> None:
    assert Ratio.of("r", quantity(3.0), quantity(1.0), bar).reached is reached


def test_sides_of_other_numbers_of_rounds_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        Ratio.of("r", quantity(1, 2), quantity(1))


def test_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return len(order)

    taken = in_turns({name: lambda name=name: work(name) for name in "abc"}, 3)
    assert "".join(order) == "abccbaabc"
    assert taken == {"a": (1, 6, 7), "b": (2, 5, 8), "c": (3, 4, 9)}


def test_the_file_of_figures_holds_every_round_and_the_verdict() -> None:
    ratio = Ratio.of("r", quantity(4.0, 2.0), quantity(1.0, 1.0), Bar("at most", 2.5))
    reported = Measurement(title="t", quantities=(quantity(4.0, 2.0),), ratios=(ratio,)).to_json()
    assert reported["quantities"][0] == {"name": "q", "unit": "s", "rounds": (4.0, 2.0), "median": 3.0}
    assert reported["ratios"][0]["rounds"] == (4.0, 2.0)
    assert reported["ratios"][0]["reached"] is False
