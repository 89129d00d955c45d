"""What the server keeps for each open page, until that page is closed."""

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
"""New states of parts of the page."""

EVENT_OPTIONS: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""How events are bound: the page tells by itself what goes on, and nobody else calls them."""


@dataclass(slots=True)
class Session:
    """One open page."""

    clip: Clip | None = None
    job: Job[SavedResult] | None = None
    place: Path | None = None
    """Folder of the last result."""
    marks: str = ""
    """See `ui_marks`. Kept here as well as in the page: who clicks fast would lose marks on their way back."""
    corner: Point | None = None
    """The first corner of a box until there is a second one."""


class Sessions:
    """All open pages."""

    def __init__(self, jobs: JobQueue, results: Path) -> None:
        """Begin without any; results go into folders of their own in `results`."""
        self.jobs, self.results = jobs, results
        self._open: dict[str, Session] = {}

    def of(self, request: gr.Request) -> Session:
        """The session that a call belongs to."""
        return self._open.setdefault(request.session_hash or "", Session())

    def begin_result(self, session: Session) -> Path:
        """A new folder for a result; the one before goes, since its page does not show it any more."""
        self.forget(session.place)
        session.place = Path(tempfile.mkdtemp(dir=self.results))
        return session.place

    def leave(self, request: gr.Request) -> None:
        """Forget a page that was closed."""
        session = self._open.pop(request.session_hash or "", Session())
        if session.job:
            self.jobs.stop(session.job)
        self.forget(session.place)

    def forget(self, place: Path | None) -> None:
        """Remove a result, once nobody writes it any more."""
        if place:
            self.jobs.submit(lambda: shutil.rmtree(place, ignore_errors=True), always=True)
