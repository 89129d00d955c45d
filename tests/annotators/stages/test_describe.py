"""One object's way through the stages: what is asked of whom, and that no reply is paid for twice."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply, ServersDownError
from refsav.annotators.engines.journal import Journal
from refsav.annotators.stages.describe import Annotator, StageFailedError
from refsav.annotators.stages.stages import RequestMaker, StagesConfig, Subject
from refsav.annotators.stages.views import ViewsConfig, render
from refsav.datasets.records import Dropped, Expression, Provenance, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video

GOOD = {
    "object-crop": "A brown camel with a long neck.",
    "object-masked": "A camel that stands on sandy ground.",
    "judge": "consistent",
    "judge-reason": "One is brown and the other is grey.",
    "scene": "The brown camel stands beside a wall.",
    "video": "The brown camel walks to the left of the wall.",
}
REFUSAL = "I'm sorry, I cannot see the image."

Say = Callable[[ChatRequest], str | Exception]


def good(request: ChatRequest) -> str | Exception:
    return GOOD[request.task]


@dataclass
class Model:
    """Stands where a model would: says what the test wants said, and remembers what it was asked."""

    say: Say = good
    asked: list[ChatRequest] = field(default_factory=list)
    wait_s: float = 0.0
    requests_at_once: int = 4

    async def check(self) -> str:
        return "model"

    async def answer(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(self.wait_s if request.task == "object-masked" else 0)
        said = self.say(request)
        if isinstance(said, Exception):
            raise said
        return Reply(text=said, finish_reason="stop", prompt_tokens=1, completion_tokens=1, confidence=0.9)

    async def close(self) -> None:
        pass

    @property
    def tasks(self) -> list[tuple[str, int]]:
        return [(request.task, request.sampling.seed) for request in self.asked]


@pytest.fixture(scope="module")
def subject(sav_data: Path) -> Subject:
    """The camel of a real video."""
    listed = discover(sav_data, SourceConfig())
    video = next(v for v in listed if isinstance(v, VideoFile) and v.video_id == "vos_000001")
    track, views = next(render(video, read_video(video, SourceConfig()).tracks[:1], ViewsConfig()))
    return Subject(track=track, views=views)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "bundle-000000.jsonl")
    yield journal
    journal.close()


def describe(
    subject: Subject, journal: Journal, vlm: Model, judge: Model | None = None, rounds: int = 0
) -> tuple[Expression | Dropped, list[str]]:
    done: list[str] = []
    config = StagesConfig()
    annotator = Annotator(
        maker=RequestMaker(config=config, prompts=config.load_prompts(), vlm_model="vlm", judge_model="judge"),
        vlm=vlm,
        judge=judge or vlm,
        journal=journal,
        provenance=Provenance(vlm="test:vlm", judge="test:judge", prompts="0"),
        on_stage=done.append,
    )
    return asyncio.run(annotator.describe(subject, rounds=rounds)), done


def said_once_bad(task: str, bad: Sequence[int], text: str = REFUSAL) -> Say:
    return lambda request: text if request.task == task and request.sampling.seed in bad else GOOD[request.task]


def test_an_object_comes_through_all_stages_and_keeps_what_each_said(subject: Subject, journal: Journal) -> None:
    vlm, judge = Model(), Model()
    described, done = describe(subject, journal, vlm, judge)
    assert isinstance(described, Expression)
    assert described.text == GOOD["video"]
    assert (described.captions.crop, described.captions.masked) == (GOOD["object-crop"], GOOD["object-masked"])
    assert (described.verdict.confidence, described.verdict.reason) == (0.9, "")
    assert done == ["object", "judge", "scene", "video"]
    assert [task for task, _ in vlm.tasks] == ["object-crop", "object-masked", "scene", "video"]
    assert [task for task, _ in judge.tasks] == ["judge"]
    assert {request.route for request in vlm.asked} == {"vos_000001"}


def test_a_conflict_ends_the_objects_way_with_its_reason(subject: Subject, journal: Journal) -> None:
    vlm, judge = Model(), Model(lambda request: "conflict" if request.task == "judge" else GOOD[request.task])
    described, done = describe(subject, journal, vlm, judge)
    assert isinstance(described, Dropped)
    assert (described.stage, described.reason) == ("judge", GOOD["judge-reason"])
    assert (described.crop_caption, described.confidence) == (GOOD["object-crop"], 0.9)
    assert done == ["object", "judge"]
    assert [task for task, _ in judge.tasks] == ["judge", "judge-reason"]


def test_a_conflict_stands_even_if_the_judge_gives_no_usable_reason(subject: Subject, journal: Journal) -> None:
    judge = Model(lambda request: "conflict" if request.task == "judge" else "")
    described, _ = describe(subject, journal, Model(), judge)
    assert isinstance(described, Dropped)
    assert described.reason.startswith("no reason given (judge-reason: 3 attempts, the last: ")


def test_a_reason_that_a_server_did_not_give_is_left_to_a_retry(subject: Subject, journal: Journal) -> None:
    down = Model(lambda request: "conflict" if request.task == "judge" else EngineError("refused"))
    with pytest.raises(StageFailedError, match="judge-reason: refused"):
        describe(subject, journal, Model(), down)
    well = Model()
    described, _ = describe(subject, journal, Model(), well)
    assert isinstance(described, Dropped)
    assert described.reason == GOOD["judge-reason"]
    assert [task for task, _ in well.tasks] == ["judge-reason"]


def test_a_bad_reply_is_asked_again_with_another_seed(subject: Subject, journal: Journal) -> None:
    vlm = Model(said_once_bad("scene", [0, 1]))
    described, _ = describe(subject, journal, vlm)
    assert isinstance(described, Expression)
    assert [seed for task, seed in vlm.tasks if task == "scene"] == [0, 1, 2]


def test_three_bad_replies_fail_the_object_with_the_last_of_them(subject: Subject, journal: Journal) -> None:
    vlm = Model(said_once_bad("scene", [0, 1, 2]))
    with pytest.raises(StageFailedError, match=r"scene: 3 attempts, the last: the model refused: .*sorry") as caught:
        describe(subject, journal, vlm)
    assert caught.value.stage == "scene"
    assert caught.value.request_digest == vlm.asked[-1].digest


def test_a_described_object_costs_nothing_the_second_time(subject: Subject, journal: Journal) -> None:
    first, _ = describe(subject, journal, Model(said_once_bad("video", [0])))
    again = Model()
    assert describe(subject, journal, again)[0] == first
    assert again.asked == []


@pytest.mark.parametrize("task", list(GOOD))
def test_after_a_stop_in_any_stage_only_what_is_missing_is_asked(subject: Subject, journal: Journal, task: str) -> None:
    def verdicts(request: ChatRequest) -> str | Exception:
        conflict = task == "judge-reason" and request.task == "judge"
        return "conflict" if conflict else GOOD[request.task]

    down = Model(lambda request: ServersDownError("down") if request.task == task else verdicts(request))
    with pytest.raises(ServersDownError):
        describe(subject, journal, down)
    well = Model(verdicts)
    describe(subject, journal, well)
    paid = [one for one in down.tasks if one[0] != task]
    assert not set(paid) & set(well.tasks)
    assert task in dict(well.tasks)


def test_a_failed_object_resumes_where_it_failed_with_fresh_seeds(subject: Subject, journal: Journal) -> None:
    with pytest.raises(StageFailedError):
        describe(subject, journal, Model(said_once_bad("scene", [0, 1, 2])))
    again = Model(said_once_bad("scene", [3]))
    described, _ = describe(subject, journal, again, rounds=1)
    assert isinstance(described, Expression)
    assert again.tasks == [("scene", 3), ("scene", 4), ("video", 0)]


def test_a_request_that_never_got_a_reply_is_asked_again_as_it_was(
    subject: Subject, journal: Journal, tmp_path: Path
) -> None:
    with pytest.raises(StageFailedError, match="scene: no tries left"):
        describe(subject, journal, Model(lambda r: EngineError("no tries left") if r.task == "scene" else GOOD[r.task]))
    again = Model()
    described, _ = describe(subject, journal, again, rounds=1)
    assert again.tasks == [("scene", 0), ("video", 0)]
    undisturbed, _ = describe(subject, Journal(tmp_path / "undisturbed.jsonl"), Model())
    assert described == undisturbed


@pytest.mark.parametrize("wait_s", [0.0, 0.05])
def test_both_descriptions_are_waited_for_and_the_same_error_is_kept(
    subject: Subject, journal: Journal, wait_s: float
) -> None:
    both = Model(lambda request: EngineError(f"lost {request.task}"), wait_s=wait_s)
    with pytest.raises(StageFailedError, match="lost object-crop"):
        describe(subject, journal, both)
    one = Model(lambda r: EngineError("lost") if r.task == "object-crop" else GOOD[r.task], wait_s=wait_s)
    with pytest.raises(StageFailedError):
        describe(subject, journal, one)
    assert journal.find(next(r for r in one.asked if r.task == "object-masked").digest)


def test_a_dead_server_counts_more_than_a_failed_object(subject: Subject, journal: Journal) -> None:
    vlm = Model(lambda r: EngineError("lost") if r.task == "object-crop" else ServersDownError("down"), wait_s=0.05)
    with pytest.raises(ServersDownError):
        describe(subject, journal, vlm)
