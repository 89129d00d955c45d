"""Steps 2 and 3 of the page: what is wanted is done at the jobs, and shown while it goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from refsav.errors import RefSavError
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip
from refsav.model.sa2va import Sa2VA
from refsav.model.ui import html
from refsav.model.ui.job_queue import Job
from refsav.model.ui.page import Page
from refsav.model.ui.run_request import SavedResult, TaskProgress, TaskRequest, work
from refsav.model.ui.sessions import EVENT_OPTIONS, Session, Sessions, Updates

POLL_S = 0.15

SHOW_ANSWER = "() => { if (innerWidth < 900) document.getElementById('answering').scrollIntoView(); }"
"""Where the columns stand one below the other, the answer would come out of sight."""


class TaskHandlers:
    """What happens when a button is pressed that begins something."""

    def __init__(self, model: Sa2VA, page: Page, sessions: Sessions) -> None:
        self._model, self._page, self._sessions = model, page, sessions
        takes_regions = model.adapter.takes_regions
        self._able = {kind: kind != "region" or takes_regions for kind in page.questions.run}

    def bind(self) -> None:
        """Say what each button does."""
        questions, settings, result = self._page.questions, self._page.settings, self._page.result
        given = [questions.expressions, questions.question, questions.caption, questions.marking.marks]
        given += [settings.key_frames, settings.propagation, settings.new_tokens]
        shown = [result.status, result.answer, result.overlay, result.film, result.files, result.stop]
        shown += [result.json, result.archive, *questions.run.values()]
        for kind, button in questions.run.items():
            button.click(self._doing(kind), given, shown, **EVENT_OPTIONS)
            button.click(None, js=SHOW_ANSWER)
        questions.expressions.submit(self._doing("segment"), given, shown, **EVENT_OPTIONS)
        questions.question.submit(self._doing("ask"), given, shown, **EVENT_OPTIONS)
        result.stop.click(self.stop, None, [result.status], **EVENT_OPTIONS)
        self._page.blocks.unload(self._sessions.leave)

    def stop(self, request: gr.Request) -> str:
        """End this visitor's job early."""
        job = self._sessions.of(request).job
        if job:
            self._sessions.jobs.stop(job)
        return html.progress("Stopping")

    def _doing(self, kind: str) -> Callable[..., AsyncIterator[Updates]]:
        async def do(
            expressions: str,
            question: str,
            caption: str,
            marks: str,
            key_frames: str,
            propagation: str,
            new_tokens: float,
            request: gr.Request,
        ) -> AsyncIterator[Updates]:
            session = self._sessions.of(request)
            try:
                if session.clip is None:
                    raise InputError("there is no picture or video yet", "choose one, or try an example")
                chosen = {"key_frames": key_frames.strip(), "propagation": propagation, "new_tokens": int(new_tokens)}
                wanted = TaskRequest(
                    kind=kind,
                    expressions=expressions,
                    question=question,
                    caption=caption,
                    marks=marks,
                    settings=InferenceSettings.from_mapping(chosen, "settings"),
                )
                async for updates in self._followed(session, session.clip, wanted):
                    yield updates
            except RefSavError as error:
                yield {**self._idle(), self._page.result.status: html.error(error, self._sessions.results)}

        return do

    async def _followed(self, session: Session, clip: Clip, wanted: TaskRequest) -> AsyncIterator[Updates]:
        """Do a job, tell how far it is, then what came out. Raises the job's error."""
        heard, place = TaskProgress(), self._sessions.begin_result(session)
        job = self._sessions.jobs.submit(lambda: work(self._model, clip, wanted, place, heard))
        session.job = job
        told = ""
        try:
            yield {**self._busy(), self._page.result.answer: ""}
            while not job.is_over:
                now = self._progress(job, heard, clip)
                if now + heard.answers != told:
                    told = now + heard.answers
                    yield {self._page.result.status: now, self._page.result.answer: heard.answers}
                await asyncio.sleep(POLL_S)
        finally:  # whoever leaves the page leaves the job too
            self._sessions.jobs.stop(job)
            if job.result is None:
                self._sessions.forget(place)
        if job.error:
            raise job.error
        yield {**self._idle(), **self._shown(job, heard)}

    def _progress(self, job: Job[SavedResult], heard: TaskProgress, clip: Clip) -> str:
        if job.state == "waiting":
            before = self._sessions.jobs.jobs_ahead(job)
            return html.progress(f"Waiting: {before} {'job is' if before == 1 else 'jobs are'} before yours")
        if clip.count > 1 and heard.frames:
            return html.progress(f"Frame {heard.frames} of {clip.count}", heard.frames / clip.count)
        return html.progress("Drawing masks" if heard.answers else "Looking")

    def _busy(self) -> Updates:
        """The page while a job goes on."""
        result, run = self._page.result, self._page.questions.run
        hidden: Updates = {part: gr.update(visible=False) for part in (result.overlay, result.film, result.files)}
        buttons = {button: gr.update(interactive=False) for button in run.values()}
        return {**hidden, **buttons, result.stop: gr.update(visible=True), result.status: html.progress("Starting")}

    def _idle(self) -> Updates:
        """The page when a job is over."""
        run = self._page.questions.run
        buttons: Updates = {button: gr.update(interactive=self._able[kind]) for kind, button in run.items()}
        return {**buttons, self._page.result.stop: gr.update(visible=False)}

    def _shown(self, job: Job[SavedResult], heard: TaskProgress) -> Updates:
        result, outcome = self._page.result, job.result
        if outcome is None:
            return {result.status: html.note("Stopped."), result.answer: heard.answers}
        facts = html.facts([*outcome.used, ("time", f"{job.seconds:.1f} s")])
        return {
            result.status: "",
            result.answer: heard.answers + html.legend(outcome.found) + facts,
            result.overlay: _file(outcome, "overlay.png"),
            result.film: _file(outcome, "overlay.mp4"),
            result.files: gr.update(visible=True),
            result.json: gr.update(value=str(outcome.folder / "result.json")),
            result.archive: gr.update(value=str(outcome.archive)),
        }


def _file(outcome: SavedResult, name: str) -> Any:  # noqa: ANN401 - Gradio's updates have no type
    path = outcome.folder / name
    return gr.update(value=str(path) if path.exists() else None, visible=path.exists())
