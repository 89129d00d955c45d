import pytest

from refsav.annotators.attributes.appearance import UNSURE
from refsav.annotators.attributes.judge import judge, read_attributes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A red round object.", "A small red round object, even in tone."),
        ("A red object.", "A mostly red object with some white."),
        ("A white and grey object.", "A grey object."),
        ("A red circular sign on a pole.", "A crimson disc with a white bar."),
        ("A man in a navy jacket and grey trousers.", "A person wearing a blue coat."),
        ("A cyan object.", "A turquoise vest."),
        ("A blue oval object.", "A blue round object."),
    ],
)
def test_keeps_descriptions_that_agree(first: str, second: str) -> None:
    verdict = judge(first, second)
    assert verdict.consistent
    assert verdict.confidence > 0.6
    assert judge(second, first).consistent


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("A red object.", "A green object.", "The first description says red, the second green."),
        (
            "A red round object.",
            "A red cross-shaped object.",
            "The first description says round, the second cross-shaped.",
        ),
        ("A black dog.", "A white dog against a black wall.", "The first description says black, the second white."),
        ("A blue car in front of a red house.", "A red car.", "The first description says blue, the second red."),
    ],
)
def test_drops_descriptions_that_contradict(first: str, second: str, reason: str) -> None:
    verdict = judge(first, second)
    assert not verdict.consistent
    assert verdict.confidence > 0.5
    assert verdict.reason == reason
    assert not judge(second, first).consistent


def test_without_a_common_kind_of_word_it_keeps_with_even_odds() -> None:
    for pair in (("A dog that runs.", "A red thing."), ("A round thing.", "A red thing."), ("", "")):
        verdict = judge(*pair)
        assert (verdict.consistent, verdict.confidence) == (True, 0.5)


def test_confidence_follows_the_evidence() -> None:
    same = judge("A red round object.", "A red round object.").confidence
    colour_only = judge("A red object.", "A red object.").confidence
    overlap = judge("A red object.", "A red, blue and green object.").confidence
    assert same > colour_only > overlap > 0.5


def test_an_unsure_description_contradicts_less() -> None:
    sure = judge("A red object.", "A green object.")
    unsure = judge(f"A red object, {UNSURE}.", "A green object.")
    assert not unsure.consistent
    assert unsure.confidence < sure.confidence


def test_reads_attributes_of_the_object_not_of_what_is_around_it() -> None:
    found = read_attributes("A mostly dark-green object with some white, taller than it is wide, next to a red box.")
    assert found.colours == {"green": 1.0, "white": 0.5}
    assert found.proportions == "tall"
    assert read_attributes("It is on the left, with something blue just above it.").colours == {}
