"""Sa2VA, section 3.3, for one object: two descriptions, the judge, the scene, the video."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from refsav.annotators.engines.engine import STAGE_OF_TASK, Engine, EngineError, Task
from refsav.annotators.engines.journal import Journal
from refsav.annotators.stages.reply_checks import ReplyError
from refsav.annotators.stages.stages import (
    CROP,
    JUDGE,
    JUDGE_REASON,
    MASKED,
    SCENE,
    VIDEO,
    RequestMaker,
    Stage,
    Subject,
)
from refsav.datasets.records import Dropped, Expression, ObjectCaptions, Provenance, Verdict
from refsav.datasets.records import Stage as StageName
from refsav.errors import RefSavError

In = TypeVar("In")
Out = TypeVar("Out")


class StageFailedError(RefSavError):
    """An object fails at a stage: a request failed, or no attempt got a usable reply."""

    def __init__(self, task: Task, problem: str, request_digest: str) -> None:
        self.stage: StageName = STAGE_OF_TASK[task]
        self.request_digest = request_digest
        super().__init__(f"{task}: {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotator:
    """Describes objects: sends requests to the engines, and writes every reply to the journal before it is used."""

    maker: RequestMaker
    vlm: Engine
    judge: Engine
    journal: Journal
    provenance: Provenance
    on_stage: Callable[[StageName], None]
    """Called when an object has passed a stage."""

    async def describe(self, subject: Subject, *, rounds: int = 0) -> Expression | Dropped:
        """Take one object through all stages.

        Args:
            subject: The object and its views.
            rounds: Earlier rounds of attempts in which it failed. Their replies come from the journal, and a request
                that never got one is sent first, so that the result is the same as if no server had been down.

        Raises:
            StageFailedError: If a stage fails.
            ServersDownError: If no server answers.
            DiskError: If the journal cannot be written.
        """
        stages = _ObjectStages(
            annotator=self, route=subject.track.video_id, attempts=(rounds + 1) * self.maker.config.attempts
        )
        captions = await stages.caption(subject)
        self.on_stage("object")
        verdict = await stages.judge(captions)
        self.on_stage("judge")
        if not verdict.consistent:
            return Dropped(
                track=subject.track,
                stage="judge",
                reason=verdict.reason,
                crop_caption=captions.crop,
                masked_caption=captions.masked,
                confidence=verdict.confidence,
            )
        scene = await stages.ask(SCENE, (subject, captions))
        self.on_stage("scene")
        video = await stages.ask(VIDEO, (subject, scene))
        self.on_stage("video")
        return Expression(
            track=subject.track,
            captions=captions,
            verdict=verdict,
            scene=scene,
            video=video,
            provenance=self.provenance,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _ObjectStages:
    """The stages of one object."""

    annotator: Annotator
    route: str
    attempts: int
    """Attempts at each request, those of earlier rounds included."""

    async def caption(self, subject: Subject) -> ObjectCaptions:
        """Request both descriptions at the same time.

        It waits for both even if one fails: the other reply costs the same anyway, and the error that is recorded must
        not depend on which came first.
        """
        crop, masked = await asyncio.gather(self.ask(CROP, subject), self.ask(MASKED, subject), return_exceptions=True)
        errors = [result for result in (crop, masked) if isinstance(result, BaseException)]
        for error in sorted(errors, key=lambda error: isinstance(error, StageFailedError)):
            raise error
        return ObjectCaptions(crop=str(crop), masked=str(masked))

    async def ask(self, stage: Stage[In, Out], item: In) -> Out:
        maker = self.annotator.maker
        question = stage.ask(item)
        problem, digest = "", ""
        for attempt in range(self.attempts):
            request = maker.request(stage.task, question, attempt=attempt, route=self.route)
            digest = request.digest
            reply = self.annotator.journal.find(digest)
            try:
                if reply is None:
                    reply = await self._engine(stage.task).answer(request)
                    self.annotator.journal.append(digest, stage.task, reply)
                return stage.read(reply, maker.config)
            except EngineError as error:
                raise StageFailedError(stage.task, error.line, digest) from error
            except ReplyError as error:
                problem = str(error)
        raise StageFailedError(stage.task, f"{self.attempts} attempts, the last: {problem}", digest)

    async def judge(self, captions: ObjectCaptions) -> Verdict:
        consistent, confidence = await self.ask(JUDGE, captions)
        if consistent:
            return Verdict(consistent=True, confidence=confidence, reason="")
        try:
            reason = await self.ask(JUDGE_REASON, captions)
        except StageFailedError as error:
            if isinstance(error.__cause__, EngineError):
                raise  # a retry may get the reply that the server did not give
            reason = f"no reason given ({error})"  # the verdict stands without it
        return Verdict(consistent=False, confidence=confidence, reason=reason)

    def _engine(self, task: Task) -> Engine:
        return self.annotator.judge if STAGE_OF_TASK[task] == "judge" else self.annotator.vlm
