"""The stages of section 3.3. Each is two pure halves: `ask` makes the request, `read` makes a record of the reply."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydantic import Field

from refsav.annotators.engines.engine import ChatRequest, Reply, Sampling, Task
from refsav.annotators.stages.prompt_files import SHIPPED, Prompt, load_prompts
from refsav.annotators.stages.reply_checks import ReplyError, read_description
from refsav.annotators.stages.views import ObjectViews
from refsav.config import Config
from refsav.datasets.records import ObjectCaptions, ObjectTrack, SceneCaption, VideoCaption

CONSISTENT, CONFLICT = "consistent", "conflict"


class StagesConfig(Config):
    """What the models are asked, and which replies are good enough."""

    prompts: str = Field("", description="Folder with prompt files of one's own; tasks without one use the shipped.")
    attempts: int = Field(3, ge=1, description="How often an object's request is asked before a bad reply fails it.")
    temperature: float = Field(0.0, ge=0, description="Sampling temperature of the first attempt.")
    retry_temperature: float = Field(0.7, ge=0, description="Sampling temperature of the attempts after a bad reply.")
    seed: int = Field(0, ge=0, description="Sampling seed of the first attempt; each further attempt adds one.")
    object_max_tokens: int = Field(256, ge=1, description="Token limit of an object description.")
    scene_max_tokens: int = Field(384, ge=1, description="Token limit of a scene description.")
    video_max_tokens: int = Field(512, ge=1, description="Token limit of the video expression.")
    reason_max_tokens: int = Field(80, ge=1, description="Token limit of the judge's reason for a conflict.")
    language: Literal["en", "any"] = Field("en", description="Language that replies must be in; any: do not look.")
    check_replies: bool = Field(
        True, description="Refuse empty, cut-off, refusing, repetitive and foreign replies. Off for untrained models."
    )

    def max_tokens(self, task: Task) -> int:
        """Token limit of a task's reply."""
        limits: Mapping[Task, int] = {
            "object-crop": self.object_max_tokens,
            "object-masked": self.object_max_tokens,
            "judge": 16,  # a guided answer may be spelled letter by letter
            "judge-reason": self.reason_max_tokens,
            "scene": self.scene_max_tokens,
            "video": self.video_max_tokens,
        }
        return limits[task]

    def load_prompts(self) -> Mapping[Task, Prompt]:
        """Read the prompts. Raises RecordError."""
        return load_prompts(Path(self.prompts) if self.prompts else SHIPPED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a stage puts before a model."""

    fields: Mapping[str, str]
    images: tuple[bytes, ...] = ()
    choices: tuple[str, ...] = ()


In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """One question about one object."""

    @property
    def task(self) -> Task:
        """What is asked for."""
        ...

    def ask(self, item: In) -> Question:
        """Put the question."""
        ...

    def read(self, reply: Reply, config: StagesConfig) -> Out:
        """Understand the reply. Raises ReplyError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """An object and what can be seen of it."""

    track: ObjectTrack
    views: ObjectViews


@dataclass(frozen=True, slots=True)
class ObjectStage:
    """Object stage: describe the object from one of its two views."""

    task: Literal["object-crop", "object-masked"]

    def ask(self, item: Subject) -> Question:
        view = item.views.crop if self.task == "object-crop" else item.views.masked
        return Question(fields={}, images=(view,))

    def read(self, reply: Reply, config: StagesConfig) -> str:
        return _description(reply, config)


@dataclass(frozen=True, slots=True)
class JudgeStage:
    """Judge: do the two descriptions tell of the same thing?"""

    task: Literal["judge"] = "judge"

    def ask(self, item: ObjectCaptions) -> Question:
        return Question(fields={"first": item.crop, "second": item.masked}, choices=(CONSISTENT, CONFLICT))

    def read(self, reply: Reply, config: StagesConfig) -> tuple[bool, float]:  # noqa: ARG002 - one shape for all
        answer = reply.text.strip().strip('."').lower()
        if answer not in (CONSISTENT, CONFLICT):
            raise ReplyError("the judge's answer is not one of the choices", reply)
        return answer == CONSISTENT, reply.confidence


@dataclass(frozen=True, slots=True)
class JudgeReasonStage:
    """Judge, second question, only after a conflict: what contradicts what?"""

    task: Literal["judge-reason"] = "judge-reason"

    def ask(self, item: ObjectCaptions) -> Question:
        return Question(fields={"first": item.crop, "second": item.masked})

    def read(self, reply: Reply, config: StagesConfig) -> str:
        return _description(reply, config)


@dataclass(frozen=True, slots=True)
class SceneStage:
    """Scene stage: the object and its relations to the scene."""

    task: Literal["scene"] = "scene"

    def ask(self, item: tuple[Subject, ObjectCaptions]) -> Question:
        subject, captions = item
        fields = {"description": captions.crop, "masked": captions.masked}
        return Question(fields=fields, images=(subject.views.scene,))

    def read(self, reply: Reply, config: StagesConfig) -> SceneCaption:
        return SceneCaption(text=_description(reply, config))


@dataclass(frozen=True, slots=True)
class VideoStage:
    """Video stage: what the object does, in frames uniform over the video."""

    task: Literal["video"] = "video"

    def ask(self, item: tuple[Subject, SceneCaption]) -> Question:
        subject, scene = item
        views = subject.views
        hidden = [str(place) for place, visible in enumerate(views.video_visible, start=1) if not visible]
        fields = {
            "description": scene.text,
            "count": str(len(views.video)),
            "seconds": f"{len(subject.track.masks) / subject.track.rate_hz:.1f}",
            "hidden": ", ".join(hidden) or "none",
        }
        return Question(fields=fields, images=views.video)

    def read(self, reply: Reply, config: StagesConfig) -> VideoCaption:
        return VideoCaption(text=_description(reply, config))


CROP = ObjectStage("object-crop")
MASKED = ObjectStage("object-masked")
JUDGE = JudgeStage()
JUDGE_REASON = JudgeReasonStage()
SCENE = SceneStage()
VIDEO = VideoStage()


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestMaker:
    """Turns a stage's question into the whole request: prompt, model, sampling."""

    config: StagesConfig
    prompts: Mapping[Task, Prompt]
    vlm_model: str
    judge_model: str

    def request(self, task: Task, question: Question, *, attempt: int, route: str) -> ChatRequest:
        """Make the request of one attempt; every attempt is a request of its own, with a seed of its own."""
        prompt = self.prompts[task]
        temperature = self.config.temperature if attempt == 0 else self.config.retry_temperature
        return ChatRequest(
            task=task,
            model=self.judge_model if task in ("judge", "judge-reason") else self.vlm_model,
            system=prompt.system,
            user=prompt.filled(question.fields),
            fields=question.fields,
            images=question.images,
            sampling=Sampling(
                max_tokens=self.config.max_tokens(task), temperature=temperature, seed=self.config.seed + attempt
            ),
            choices=question.choices,
            route=route,
        )


def _description(reply: Reply, config: StagesConfig) -> str:
    if not config.check_replies:
        return " ".join(reply.text.split()) or "(no text)"
    return read_description(reply, config.language)
