"""Event handlers of steps 2 and 3 of the page: run a task through the job queue and show its progress and result."""

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
from refsav.model.ui.run_request import SavedResult, TaskProgress, TaskRequest, run_request
from refsav.model.ui.sessions import EVENT_OPTIONS, Session, Sessions, Updates

POLL_S = 0.15

SHOW_ANSWER = "() => { if (innerWidth < 900) document.getElementById('answering').scrollIntoView(); }"
"""On narrow screens the columns are stacked, and the answer would be out of sight."""


class TaskHandlers:
    """Handlers of the buttons that start or stop a task."""

    def __init__(self, model: Sa2VA, page: Page, sessions: Sessions) -> None:
        self._model, self._page, self._sessions = model, page, sessions
        takes_regions = model.adapter.takes_regions
        self._is_enabled = {kind: kind != "region" or takes_regions for kind in page.questions.run}

    def bind(self) -> None:
        """Attach the handlers to the page."""
        questions, settings, result = self._page.questions, self._page.settings, self._page.result
        inputs = [questions.expressions, questions.question, questions.caption, questions.marking.marks]
        inputs += [settings.key_frames, settings.propagation, settings.new_tokens]
        outputs = [result.status, result.answer, result.overlay, result.video, result.files, result.stop]
        outputs += [result.json, result.archive, *questions.run.values()]
        for kind, button in questions.run.items():
            button.click(self._handler(kind), inputs, outputs, **EVENT_OPTIONS)
            button.click(None, js=SHOW_ANSWER)
        questions.expressions.submit(self._handler("segment"), inputs, outputs, **EVENT_OPTIONS)
        questions.question.submit(self._handler("ask"), inputs, outputs, **EVENT_OPTIONS)
        result.stop.click(self.stop, None, [result.status], **EVENT_OPTIONS)
        self._page.blocks.unload(self._sessions.close)

    def stop(self, request: gr.Request) -> str:
        """End this visitor's job early. Returns the new status, as HTML."""
        job = self._sessions.of(request).job
        if job:
            self._sessions.queue.stop(job)
        return html.progress("Stopping")

    def _handler(self, kind: str) -> Callable[..., AsyncIterator[Updates]]:
        async def handle(
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
                    raise InputError("there is no image or video yet", "choose one, or try an example")
                chosen = {"key_frames": key_frames.strip(), "propagation": propagation, "new_tokens": int(new_tokens)}
                task_request = TaskRequest(
                    kind=kind,
                    expressions=expressions,
                    question=question,
                    caption=caption,
                    marks=marks,
                    settings=InferenceSettings.from_mapping(chosen, "settings"),
                )
                async for updates in self._run(session, session.clip, task_request):
                    yield updates
            except RefSavError as error:
                yield {**self._when_idle(), self._page.result.status: html.error(error, self._sessions.results)}

        return handle

    async def _run(self, session: Session, clip: Clip, request: TaskRequest) -> AsyncIterator[Updates]:
        """Run a request as a job: yield its progress, then its result. Raises the job's error."""
        progress, folder = TaskProgress(), self._sessions.new_result_folder(session)
        job = self._sessions.queue.submit(lambda: run_request(self._model, clip, request, folder, progress))
        session.job = job
        shown = ""
        try:
            yield {**self._when_busy(), self._page.result.answer: ""}
            while not job.is_over:
                status = self._status(job, progress, clip)
                if status + progress.answers != shown:
                    shown = status + progress.answers
                    yield {self._page.result.status: status, self._page.result.answer: progress.answers}
                await asyncio.sleep(POLL_S)
        finally:  # a visitor who leaves the page ends the job too
            self._sessions.queue.stop(job)
            if job.result is None:
                self._sessions.remove_result(folder)
        if job.error:
            raise job.error
        yield {**self._when_idle(), **self._result(job, progress)}

    def _status(self, job: Job[SavedResult], progress: TaskProgress, clip: Clip) -> str:
        if job.state == "waiting":
            ahead = self._sessions.queue.jobs_ahead(job)
            return html.progress(f"Waiting: {ahead} {'job is' if ahead == 1 else 'jobs are'} ahead of yours")
        if clip.count > 1 and progress.frames:
            return html.progress(f"Frame {progress.frames} of {clip.count}", progress.frames / clip.count)
        return html.progress("Segmenting" if progress.answers else "Answering")

    def _when_busy(self) -> Updates:
        """Return the updates of the page when a job starts."""
        result, run = self._page.result, self._page.questions.run
        hidden: Updates = {part: gr.update(visible=False) for part in (result.overlay, result.video, result.files)}
        buttons = {button: gr.update(interactive=False) for button in run.values()}
        return {**hidden, **buttons, result.stop: gr.update(visible=True), result.status: html.progress("Starting")}

    def _when_idle(self) -> Updates:
        """Return the updates of the page when a job is over."""
        run = self._page.questions.run
        buttons: Updates = {button: gr.update(interactive=self._is_enabled[kind]) for kind, button in run.items()}
        return {**buttons, self._page.result.stop: gr.update(visible=False)}

    def _result(self, job: Job[SavedResult], progress: TaskProgress) -> Updates:
        result, saved = self._page.result, job.result
        if saved is None:
            return {result.status: html.note("Stopped."), result.answer: progress.answers}
        facts = html.facts([*saved.used, ("time", f"{job.seconds:.1f} s")])
        return {
            result.status: "",
            result.answer: progress.answers + html.legend(saved.objects) + facts,
            result.overlay: _file(saved, "overlay.png"),
            result.video: _file(saved, "overlay.mp4"),
            result.files: gr.update(visible=True),
            result.json: gr.update(value=str(saved.folder / "result.json")),
            result.archive: gr.update(value=str(saved.archive)),
        }


def _file(saved: SavedResult, name: str) -> Any:  # noqa: ANN401 - Gradio's updates have no type
    path = saved.folder / name
    return gr.update(value=str(path) if path.exists() else None, visible=path.exists())
