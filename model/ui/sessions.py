"""What the server keeps for each open page, until that page is closed."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from refsav.model.media.clip import Clip
from refsav.model.ui.job_queue import Desk, Job
from refsav.model.ui.mark_editor import Point
from refsav.model.ui.run_request import Outcome

Updates = dict[Any, Any]
"""New states of parts of the page."""

QUICK: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""How events are bound: the page tells by itself what goes on, and nobody else calls them."""


@dataclass(slots=True)
class Visit:
    """One open page."""

    clip: Clip | None = None
    job: Job[Outcome] | None = None
    place: Path | None = None
    """Folder of the last result."""
    marks: str = ""
    """See `ui_marks`. Kept here as well as in the page: who clicks fast would lose marks on their way back."""
    corner: Point | None = None
    """The first corner of a box until there is a second one."""


class Visits:
    """All open pages."""

    def __init__(self, desk: Desk, results: Path) -> None:
        """Begin without any; results go into folders of their own in `results`."""
        self.desk, self.results = desk, results
        self._open: dict[str, Visit] = {}

    def of(self, request: gr.Request) -> Visit:
        """The visit that a call belongs to."""
        return self._open.setdefault(request.session_hash or "", Visit())

    def begin_result(self, visit: Visit) -> Path:
        """A new folder for a result; the one before goes, since its page does not show it any more."""
        self.forget(visit.place)
        visit.place = Path(tempfile.mkdtemp(dir=self.results))
        return visit.place

    def leave(self, request: gr.Request) -> None:
        """Forget a page that was closed."""
        visit = self._open.pop(request.session_hash or "", Visit())
        if visit.job:
            self.desk.stop(visit.job)
        self.forget(visit.place)

    def forget(self, place: Path | None) -> None:
        """Remove a result, once nobody writes it any more."""
        if place:
            self.desk.submit(lambda: shutil.rmtree(place, ignore_errors=True), always=True)
