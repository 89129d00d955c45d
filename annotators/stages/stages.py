"""The stages of Sa2VA, section 3.3. Each is two pure functions: `ask` makes the question, `read` reads the reply."""

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
    """Prompts and sampling of the stages, and which replies are accepted."""

    prompts: str = Field(
        "", description="Folder with custom prompt files; tasks without a file there use the shipped prompt."
    )
    attempts: int = Field(3, ge=1, description="How often a request is sent before unusable replies fail the object.")
    temperature: float = Field(0.0, ge=0, description="Sampling temperature of the first attempt.")
    retry_temperature: float = Field(
        0.7, ge=0, description="Sampling temperature of the attempts after an unusable reply."
    )
    seed: int = Field(0, ge=0, description="Sampling seed of the first attempt; each later attempt adds one.")
    object_max_tokens: int = Field(256, ge=1, description="Token limit of an object description.")
    scene_max_tokens: int = Field(384, ge=1, description="Token limit of a scene description.")
    video_max_tokens: int = Field(512, ge=1, description="Token limit of the video expression.")
    reason_max_tokens: int = Field(80, ge=1, description="Token limit of the judge's reason for a conflict.")
    language: Literal["en", "any"] = Field("en", description="Language that replies must be in; any: not checked.")
    check_replies: bool = Field(
        True,
        description="Reject empty, cut-off, refusing, repetitive and foreign replies. Turn off for untrained models.",
    )

    def max_tokens(self, task: Task) -> int:
        """Token limit of a task's reply."""
        limits: Mapping[Task, int] = {
            "object-crop": self.object_max_tokens,
            "object-masked": self.object_max_tokens,
            "judge": 16,  # guided decoding may spell the answer letter by letter
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
    """What a stage shows to a model."""

    fields: Mapping[str, str]
    images: tuple[bytes, ...] = ()
    choices: tuple[str, ...] = ()


In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """One question about one object."""

    @property
    def task(self) -> Task:
        """The task of the stage's requests."""
        ...

    def ask(self, item: In) -> Question:
        """Make the question."""
        ...

    def read(self, reply: Reply, config: StagesConfig) -> Out:
        """Read the reply. Raises ReplyError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """An object and its views."""

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
    """Judge: do the two descriptions describe the same object?"""

    task: Literal["judge"] = "judge"

    def ask(self, item: ObjectCaptions) -> Question:
        return Question(fields={"first": item.crop, "second": item.masked}, choices=(CONSISTENT, CONFLICT))

    def read(self, reply: Reply, config: StagesConfig) -> tuple[bool, float]:  # noqa: ARG002 - the signature of all stages
        answer = reply.text.strip().strip('."').lower()
        if answer not in (CONSISTENT, CONFLICT):
            raise ReplyError("the judge's answer is not one of the choices", reply)
        return answer == CONSISTENT, reply.confidence


@dataclass(frozen=True, slots=True)
class JudgeReasonStage:
    """Judge, second question, only after a conflict: what is the contradiction?"""

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
        hidden = [str(number) for number, visible in enumerate(views.video_visible, start=1) if not visible]
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
    """Turns a stage's question into a complete request: prompt, model, sampling."""

    config: StagesConfig
    prompts: Mapping[Task, Prompt]
    vlm_model: str
    judge_model: str

    def request(self, task: Task, question: Question, *, attempt: int, route: str) -> ChatRequest:
        """Make the request of one attempt; every attempt has its own seed and so its own digest.

        Args:
            task: The task.
            question: What the stage shows.
            attempt: Number of the attempt, from 0.
            route: Video id, for the choice of the server.
        """
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
