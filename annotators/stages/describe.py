"""Section 3.3 for one object: two descriptions, the judge, the scene, the video."""

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
    """An object cannot go on: a request failed for good, or no attempt brought a usable reply."""

    def __init__(self, task: Task, problem: str, request_digest: str) -> None:
        self.stage: StageName = STAGE_OF_TASK[task]
        self.request_digest = request_digest
        super().__init__(f"{task}: {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotator:
    """Describes objects: asks the engines, and keeps every reply in the journal before it is used."""

    maker: RequestMaker
    vlm: Engine
    judge: Engine
    journal: Journal
    provenance: Provenance
    done: Callable[[StageName], None]
    """Called when an object has come through a stage."""

    async def describe(self, subject: Subject, *, rounds: int = 0) -> Expression | Dropped:
        """Take one object through all stages.

        Args:
            subject: The object and its views.
            rounds: Rounds of attempts that did not bring it through before. Replies of theirs are not paid again, and
                a request that never got one is asked first, so that a server that was down leaves no trace.

        Raises:
            StageFailedError: If a stage fails for good.
            ServersDownError: If no server answers any more.
            DiskError: If the journal cannot be written.
        """
        turn = _Turn(annotator=self, route=subject.track.video_id, attempts=(rounds + 1) * self.maker.config.attempts)
        captions = await turn.caption(subject)
        self.done("object")
        verdict = await turn.judge(captions)
        self.done("judge")
        if not verdict.consistent:
            return Dropped(
                track=subject.track,
                stage="judge",
                reason=verdict.reason,
                crop_caption=captions.crop,
                masked_caption=captions.masked,
                confidence=verdict.confidence,
            )
        scene = await turn.ask(SCENE, (subject, captions))
        self.done("scene")
        video = await turn.ask(VIDEO, (subject, scene))
        self.done("video")
        return Expression(
            track=subject.track,
            captions=captions,
            verdict=verdict,
            scene=scene,
            video=video,
            provenance=self.provenance,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """One object's turn with the engines."""

    annotator: Annotator
    route: str
    attempts: int
    """Of this round and of those before it."""

    async def caption(self, subject: Subject) -> ObjectCaptions:
        """Ask for both descriptions at once.

        Both are waited for, even if one fails: a reply that is under way is paid for, and which error an object keeps
        must not depend on which came first.
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
                raise StageFailedError(stage.task, str(error), digest) from error
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
                raise  # a retry may bring what a server did not give
            reason = f"no reason given ({error})"  # the verdict stands without it
        return Verdict(consistent=False, confidence=confidence, reason=reason)

    def _engine(self, task: Task) -> Engine:
        return self.annotator.judge if STAGE_OF_TASK[task] == "judge" else self.annotator.vlm
