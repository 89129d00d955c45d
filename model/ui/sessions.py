"""The server's state for each open page, kept until the page is closed."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from refsav.model.media.clip import Clip
from refsav.model.ui.job_queue import Job, JobQueue
from refsav.model.ui.mark_editor import Point
from refsav.model.ui.run_request import SavedResult

Updates = dict[Any, Any]
"""New values of Gradio components, by component."""

EVENT_OPTIONS: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of every event: the page shows progress itself, and the events are not part of an API."""


@dataclass(slots=True)
class Session:
    """The state of one open page."""

    clip: Clip | None = None
    job: Job[SavedResult] | None = None
    result_folder: Path | None = None
    """Folder of the latest result."""
    marks: str = ""
    """The text that `mark_editor` edits. It is kept here as well as in the page: fast clicks would be lost if each
    waited for the page to send the text back."""
    corner: Point | None = None
    """The first corner of a box, until the second one is clicked."""


class Sessions:
    """The sessions of all open pages."""

    def __init__(self, queue: JobQueue, results: Path) -> None:
        """Start without sessions.

        Args:
            queue: Where results are removed, after the jobs that write them.
            results: Folder in which every result gets a folder of its own.
        """
        self.queue, self.results = queue, results
        self._open: dict[str, Session] = {}

    def of(self, request: gr.Request) -> Session:
        """Return the session that a call belongs to; the first call of a page creates it."""
        return self._open.setdefault(request.session_hash or "", Session())

    def new_result_folder(self, session: Session) -> Path:
        """Create a folder for a result and remove the previous one, which the page no longer shows."""
        self.remove_result(session.result_folder)
        session.result_folder = Path(tempfile.mkdtemp(dir=self.results))
        return session.result_folder

    def close(self, request: gr.Request) -> None:
        """Drop the session of a page that was closed: its job is stopped, its result removed."""
        session = self._open.pop(request.session_hash or "", Session())
        if session.job:
            self.queue.stop(session.job)
        self.remove_result(session.result_folder)

    def remove_result(self, folder: Path | None) -> None:
        """Remove a result through the queue, so that no job still writes it."""
        if folder:
            self.queue.submit(lambda: shutil.rmtree(folder, ignore_errors=True), always=True)
