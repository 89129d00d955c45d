"""Each stage is two pure halves: what a model is shown and asked, and what is made of its reply."""

from dataclasses import replace

import pytest

from refsav.annotators.engines.engine import ChatRequest, Reply, Task
from refsav.annotators.stages.prompt_files import load_prompts
from refsav.annotators.stages.reply_checks import ReplyError
from refsav.annotators.stages.stages import (
    CROP,
    JUDGE,
    JUDGE_REASON,
    MASKED,
    SCENE,
    VIDEO,
    Question,
    RequestMaker,
    StagesConfig,
    Subject,
)
from refsav.annotators.stages.views import ObjectViews
from refsav.datasets.records import ObjectCaptions, ObjectTrack, SceneCaption

DEFAULT = StagesConfig()
CAPTIONS = ObjectCaptions(crop="a red car", masked="a red van")
SENTENCE = "A small red car stands near a wooden fence while people walk past."


def reply(text: str, finish_reason: str = "stop", confidence: float = 1.0) -> Reply:
    return Reply(text=text, finish_reason=finish_reason, prompt_tokens=1, completion_tokens=1, confidence=confidence)


def subject(visible: tuple[bool, ...]) -> Subject:
    """Twelve annotated frames (two seconds) of an object of which only the views matter here."""
    return Subject(
        track=ObjectTrack(
            video_id="sav_000001",
            source="manual",
            masklet_id=0,
            column=0,
            size=(48, 64),
            masks=(None,) * 12,
            areas_px=(0,) * 12,
        ),
        views=ObjectViews(
            crop=b"crop",
            masked=b"masked",
            scene=b"scene",
            video=tuple(f"frame {place}".encode() for place in range(len(visible))),
            video_rows=tuple(range(len(visible))),
            video_visible=visible,
        ),
    )


def maker(config: StagesConfig = DEFAULT) -> RequestMaker:
    return RequestMaker(config=config, prompts=config.load_prompts(), vlm_model="a-vlm", judge_model="a-judge")


def request(task: Task, question: Question, attempt: int = 0, config: StagesConfig = DEFAULT) -> ChatRequest:
    return maker(config).request(task, question, attempt=attempt, route="sav_000001")


def test_the_object_stage_shows_one_view_at_a_time_and_nothing_else() -> None:
    seen = subject((True,) * 8)
    assert CROP.ask(seen) == Question(fields={}, images=(b"crop",))
    assert MASKED.ask(seen) == Question(fields={}, images=(b"masked",))


def test_the_judge_reads_both_descriptions_and_answers_from_a_closed_list() -> None:
    question = JUDGE.ask(CAPTIONS)
    assert question == Question(
        fields={"first": "a red car", "second": "a red van"}, choices=("consistent", "conflict")
    )
    asked = request("judge", question)
    assert asked.choices == ("consistent", "conflict")
    assert "a red car" in asked.user and "a red van" in asked.user
    assert not asked.images


@pytest.mark.parametrize(
    ("text", "consistent"), [("consistent", True), (" Conflict.\n", False), ('"consistent"', True)]
)
def test_the_verdict_keeps_the_confidence(text: str, consistent: bool) -> None:
    assert JUDGE.read(reply(text, confidence=0.75), DEFAULT) == (consistent, 0.75)


@pytest.mark.parametrize("text", ["", "maybe", "consistent, but not quite", "inconsistent"])
def test_an_answer_that_is_not_on_the_list_is_no_verdict(text: str) -> None:
    with pytest.raises(ReplyError, match="not one of the choices"):
        JUDGE.read(reply(text), DEFAULT)


def test_the_reason_is_asked_in_free_words_and_may_be_cut_short_only_by_failing() -> None:
    assert JUDGE_REASON.ask(CAPTIONS) == Question(fields={"first": "a red car", "second": "a red van"})
    assert JUDGE_REASON.read(reply("One is a car, the other is a van."), DEFAULT) == "One is a car, the other is a van."
    with pytest.raises(ReplyError, match="cut off"):
        JUDGE_REASON.read(reply("One is a car, the", finish_reason="length"), DEFAULT)


def test_the_scene_stage_hands_on_both_descriptions_with_the_outlined_frame() -> None:
    question = SCENE.ask((subject((True,) * 8), CAPTIONS))
    assert question == Question(fields={"description": "a red car", "masked": "a red van"}, images=(b"scene",))
    assert SCENE.read(reply(SENTENCE), DEFAULT) == SceneCaption(text=SENTENCE)


@pytest.mark.parametrize(
    ("visible", "hidden"),
    [
        ((True,) * 8, "none"),
        ((True, True, False, True, False, True, True, True), "3, 5"),
        ((False, True), "1"),
    ],
)
def test_the_video_stage_says_in_which_pictures_the_object_is_hidden(visible: tuple[bool, ...], hidden: str) -> None:
    seen = subject(visible)
    question = VIDEO.ask((seen, SceneCaption(text="the scene")))
    assert question.images == seen.views.video
    assert question.fields == {
        "description": "the scene",
        "count": str(len(visible)),
        "seconds": "2.0",
        "hidden": hidden,
    }
    assert hidden in request("video", question).user


@pytest.mark.parametrize("stage", [CROP, MASKED, JUDGE_REASON, SCENE, VIDEO], ids=lambda stage: stage.task)
@pytest.mark.parametrize(
    ("text", "finish_reason", "problem"),
    [
        ("", "stop", "empty"),
        ("I'm sorry, I cannot help with that.", "stop", "refused"),
        (SENTENCE[:20], "length", "cut off"),
        ("a car a car a car a car a car", "stop", "repeats"),
        ("Ein kleines rotes Auto steht neben einem hölzernen Zaun und wartet dort.", "stop", "not English"),
    ],
)
def test_every_describing_stage_refuses_what_is_no_description(
    stage: object, text: str, finish_reason: str, problem: str
) -> None:
    with pytest.raises(ReplyError, match=problem):
        stage.read(reply(text, finish_reason), DEFAULT)  # type: ignore[attr-defined]


def test_untrained_models_may_say_anything_once_replies_are_not_checked() -> None:
    unchecked = StagesConfig(check_replies=False)
    assert SCENE.read(reply("zq  zq\nzq", finish_reason="length"), unchecked).text == "zq zq zq"
    assert SCENE.read(reply(" \n"), unchecked).text == "(no text)"


def test_every_attempt_is_a_request_of_its_own() -> None:
    config = StagesConfig(seed=7, temperature=0.0, retry_temperature=0.5)
    asked = [request("scene", SCENE.ask((subject((True,)), CAPTIONS)), attempt, config) for attempt in range(4)]
    assert [one.sampling.seed for one in asked] == [7, 8, 9, 10]
    assert [one.sampling.temperature for one in asked] == [0.0, 0.5, 0.5, 0.5]
    assert len({one.digest for one in asked}) == 4


def test_token_limits_and_models_belong_to_the_task() -> None:
    tasks: tuple[Task, ...] = tuple(load_prompts())
    config = StagesConfig(object_max_tokens=11, scene_max_tokens=12, video_max_tokens=13, reason_max_tokens=14)
    fields = {"first": "", "second": "", "description": "", "masked": "", "count": "", "seconds": "", "hidden": ""}
    asked = {task: request(task, Question(fields=fields), config=config) for task in tasks}
    assert {task: one.sampling.max_tokens for task, one in asked.items() if task != "judge"} == {
        "object-crop": 11,
        "object-masked": 11,
        "scene": 12,
        "video": 13,
        "judge-reason": 14,
    }
    assert {task for task, one in asked.items() if one.model == "a-judge"} == {"judge", "judge-reason"}


def test_the_digest_follows_what_the_model_sees_and_not_the_server_that_is_asked() -> None:
    asked = request("object-crop", CROP.ask(subject((True,))))
    assert replace(asked, route="sav_000002").digest == asked.digest
    assert replace(asked, images=(b"crap",)).digest != asked.digest
    assert replace(asked, model="another").digest != asked.digest
    split, joined = replace(asked, images=(b"ab", b"c")), replace(asked, images=(b"a", b"bc"))
    assert split.digest != joined.digest
