"""What is a description comes through cleaned; what is none is recognized and named."""

import pytest

from refsav.annotators.engines.engine import Reply
from refsav.annotators.stages.reply_checks import ReplyError, read_description


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text=text, finish_reason=finish_reason, prompt_tokens=1, completion_tokens=1)


GOOD = "A grey sock with a bright green band, worn on the near foot of a boy who is jumping on a trampoline."


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f'"{GOOD}"',
        f"Sure, here is a description of the object: {GOOD}",
        f"<think>It is a sock.\nGrey.</think>{GOOD}",
        f"It is a sock.\nGrey.\n</think>\n\n{GOOD}",
        GOOD.replace("grey sock", "**grey sock**"),
        GOOD.replace("sock with", "sock\nwith"),
    ],
)
def test_a_description_comes_out_on_one_line_without_markup(text: str) -> None:
    assert read_description(reply(text), "en") == GOOD


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n ...", "empty"),
        ("I'm sorry, but I can't assist with that request.", "refused"),
        ("I cannot describe people in images.", "refused"),
        ("As an AI language model, I do not see images.", "refused"),
        ("There is no image provided.", "refused"),
        ("the the the the the the the the the the", "repeats"),
        ("A red car. " * 6, "repeats"),
        ("a red ball and a blue ball and " * 8, "repeats"),
        ("x" * 200, "repeats"),
        ("<think>It is a sock, or is it", "empty"),
        ("一个男孩穿着绿色背心在蹦床上跳跃。", "not English"),
        ("Мальчик в зелёной жилетке прыгает на батуте в зале.", "not English"),
        ("Ein Junge mit grüner Weste springt auf einem großen Trampolin herum und lacht dabei laut.", "not English"),
    ],
)
def test_what_is_no_description_is_named(text: str, problem: str) -> None:
    with pytest.raises(ReplyError, match=problem):
        read_description(reply(text), "en")


def test_a_reply_cut_off_at_the_limit_is_refused() -> None:
    with pytest.raises(ReplyError, match="cut off"):
        read_description(reply(GOOD, "length"), "en")


def test_any_language_passes_if_configured() -> None:
    assert read_description(reply("一个男孩穿着绿色背心在蹦床上跳跃。"), "any")


@pytest.mark.parametrize(
    "text",
    [
        "A man in a red shirt.",
        "Two-humped camel; long, shaggy coat.",
        "Okapis are grazing near the fence: two of them, side by side.",
        "Sure-footed goats climb the rock: the brown one is in front.",
        "The sign says 'I am sorry' in large red letters and hangs above the door of a shop.",
        "It moves left, then right, then left again, and then it stops near the fence at the side of the road.",
    ],
)
def test_short_and_unusual_descriptions_are_not_refused(text: str) -> None:
    assert read_description(reply(text), "en") == text
