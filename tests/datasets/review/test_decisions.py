"""Answers become decisions: majority, latest, ties, changed answers; unusable answers are refused with a reason."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsav.datasets.records import ObjectKey
from refsav.datasets.review.decisions import (
    Judgement,
    ReviewAnswer,
    TaskName,
    UnusableAnswerError,
    checked_answer,
    count_reasons,
    decide,
    votes,
)

KEY = ObjectKey("sav_000001", "manual", 3)
TEXT = "A red box that moves to the left."
TEXTS = {KEY: TEXT}


def answer(judgement: Judgement, who: str = "ann", at: str = "1", *, long: str = "", short: str = "", of: str = TEXT):
    return ReviewAnswer(
        task=TaskName.of(KEY, of),
        judgement=judgement,
        reasons=(),
        long=long,
        short=short,
        annotator=who,
        answered_at=at,
    )


def outcome(*answers: ReviewAnswer, rule="majority"):
    return decide(answers, TEXTS, rule)[KEY]


def test_the_majority_wins_and_a_tie_stays_open():
    assert outcome(answer("accept"), answer("accept", "bob"), answer("reject", "eve")).outcome == "accepted"
    tie = outcome(answer("accept"), answer("reject", "bob"))
    assert (tie.outcome, tie.contested, tie.annotators) == ("candidate", True, 2)
    three = outcome(answer("accept"), answer("fix", "bob", long="Other."), answer("reject", "eve"))
    assert (three.outcome, three.contested) == ("candidate", True)


def test_the_latest_answer_wins_under_the_rule_latest():
    said = (answer("accept"), answer("accept", "bob"), answer("reject", "eve"))
    assert outcome(*said, rule="latest").outcome == "rejected"
    fixed = (answer("fix", long="One."), answer("fix", "bob", long="Two."))
    assert outcome(*fixed, rule="latest").long == "Two."


def test_an_annotator_counts_once_with_the_last_answer():
    said = (answer("reject"), answer("reject", "bob"), answer("accept"), answer("accept", "bob"))
    assert outcome(*said).outcome == "accepted"
    assert votes(said, TEXTS) == {KEY: {"ann": "accept", "bob": "accept"}}


def test_the_most_frequent_correction_wins_then_the_latest():
    one, two, three = (answer("fix", who, long=text) for who, text in (("a", "X."), ("b", "Y."), ("c", "X.")))
    assert outcome(one, three, two).long == "X."
    assert outcome(one, two).long == "Y."


def test_a_judgement_counts_for_the_judged_text_and_a_short_text_for_the_object():
    old = answer("reject", of="What it said before.", short="the red box")
    decision = outcome(old)
    assert (decision.outcome, decision.annotators, decision.short) == ("candidate", 0, "the red box")
    assert outcome(old, answer("accept", "bob")).outcome == "accepted"
    assert outcome(answer("accept", "bob"), old).outcome == "accepted"


def test_reasons_are_counted_from_last_answers_about_current_texts():
    def rejects(who, *reasons, of=TEXT):
        return replace(answer("reject", who, of=of), reasons=reasons)

    said = [
        rejects("ann", "bad mask", of="Before."),
        rejects("ann", "wrong object", "bad mask"),
        rejects("ann", "bad mask"),
        rejects("bob", "ambiguous", "bad mask"),
    ]
    assert list(count_reasons(said, TEXTS).items()) == [("bad mask", 2), ("ambiguous", 1)]


def test_a_short_text_alone_keeps_the_judgement_and_replaces_the_annotators_earlier_one():
    decision = outcome(answer("accept", short="a box"), answer("none", short="the box"))
    assert (decision.outcome, decision.short) == ("accepted", "the box")


def test_answers_about_a_removed_object_are_ignored():
    assert decide([answer("accept")], {}, "majority") == {}


def test_an_accepted_text_that_was_changed_is_a_correction():
    changed = checked_answer(TEXT, answer("accept", long=f"  {TEXT[:-1]},\n slowly.  "))
    assert (changed.judgement, changed.long) == ("fix", "A red box that moves to the left, slowly.")
    same = checked_answer(TEXT, replace(answer("accept", long=f" {TEXT}\n"), reasons=("bad mask",)))
    assert (same.judgement, same.long, same.reasons) == ("accept", "", ())


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (answer("fix", long=" \n "), "the corrected text is empty\n  fix: write it, or reject"),
        (answer("fix", long="\u200b \u2026"), "the corrected text is empty"),
        (answer("none", short="-"), "has neither a verdict nor a short expression"),
        (answer("fix", long=TEXT), "has the verdict fix and an unchanged text\n  fix: correct the text, or accept"),
        (answer("none"), "has neither a verdict nor a short expression"),
        (answer("none", long="Other words."), "has a corrected text and no verdict\n  fix: give the verdict fix"),
    ],
)
def test_an_empty_or_contradictory_answer_is_refused(said, problem):
    with pytest.raises(UnusableAnswerError, match=problem):
        checked_answer(TEXT, said)


def test_a_task_name_can_be_parsed_and_depends_on_the_expression():
    name = TaskName.of(KEY, TEXT)
    assert TaskName.parse(str(name)) == name != TaskName.of(KEY, "Other words.")


@given(st.text())
def test_text_that_is_not_a_task_name_is_refused(name):
    with pytest.raises(UnusableAnswerError, match="is not a task of refsav"):
        TaskName.parse(name)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["accept", "fix", "reject"])), min_size=1))
def test_a_majority_does_not_depend_on_the_annotators_names(said):
    answers = [answer(judgement, who, long="X." if judgement == "fix" else "") for who, judgement in said]
    renamed = [replace(one, annotator=f"the other {one.annotator}") for one in answers]
    assert decide(answers, TEXTS, "majority") == decide(renamed, TEXTS, "majority")
