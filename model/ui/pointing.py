"""Step 1 of the page, and clicks on what is seen there: files are opened, frames shown, objects marked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from refsav.errors import RefSavError
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip, open_clip
from refsav.model.sam.point_prompts import Mark
from refsav.model.ui import html as words
from refsav.model.ui import mark_editor as marking
from refsav.model.ui.page import Page
from refsav.model.ui.run_request import described, preview, preview_scale
from refsav.model.ui.sessions import QUICK, Updates, Visit, Visits


class Pointing:
    """What happens when a file is chosen or a frame clicked on."""

    def __init__(self, page: Page, visits: Visits) -> None:
        self._page, self._visits = page, visits

    def bind(self, files: Sequence[Path]) -> None:
        """Say what each part does; `files` belong to the buttons with examples."""
        given, marking_, tabs = self._page.input, self._page.questions.marking, self._page.questions.tabs
        for button, file in zip(given.buttons, files, strict=True):
            button.click(_always(str(file)), None, [given.drop], **QUICK)
        drawn = [given.marked, marking_.marks, marking_.note, marking_.number]
        opened = [given.picture, given.frame, given.size, given.notice, given.examples, *drawn]
        of_marks, last = [given.frame, marking_.number], {**QUICK, "trigger_mode": "always_last"}
        given.drop.change(self.open, [given.drop], [*opened, self._page.questions.run["track"]], **QUICK)
        given.frame.change(self.show, of_marks, [given.picture, *drawn], **last)
        # Every click counts, in the order in which they come.
        each = {**QUICK, "trigger_mode": "multiple", "concurrency_limit": 1}
        given.picture.select(self.click, [*of_marks, marking_.tool], [*drawn, tabs], **each)
        marking_.tool.change(self.change_tool, of_marks, drawn, **QUICK)
        marking_.undo.click(self.undo, of_marks, drawn, **QUICK)
        marking_.clear.click(self.clear, of_marks, drawn, **QUICK)
        marking_.marks.input(self.type, [*of_marks, marking_.marks], drawn, **last)

    def open(self, file: str | None, request: gr.Request) -> Updates:
        """Open what was dropped, and show its first frame; without a file, begin anew."""
        given, visit = self._page.input, self._visits.of(request)
        visit.clip, visit.marks, visit.corner = None, "", None
        empty: Updates = {
            given.picture: gr.update(value=None, visible=False),
            given.frame: gr.update(value=0, visible=False),
            given.size: "",
            given.notice: "",
            given.examples: gr.update(visible=bool(given.buttons)),
            **self._drawn(visit, 0, 1),
        }
        if file is None:
            return empty
        try:
            clip = open_clip(Path(file))
            picture = preview(clip, 0)
        except RefSavError as error:
            return {**empty, given.notice: words.error(error, Path(file).parent)}
        visit.clip = clip
        is_video = clip.count > 1
        return {
            **empty,
            given.picture: gr.update(value=picture, visible=True),
            given.frame: gr.update(value=0, maximum=max(1, clip.count - 1), visible=is_video),
            given.size: words.note(described(clip)),
            given.examples: gr.update(visible=False),
            self._page.questions.run["track"]: "Follow them" if is_video else "Get their masks",
        }

    def show(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Show another frame of a video."""
        visit = self._visits.of(request)
        updates = self._drawn(visit, frame, number)
        if visit.clip:
            try:
                updates[self._page.input.picture] = preview(visit.clip, min(int(frame), visit.clip.count - 1))
            except RefSavError as error:
                updates[self._page.questions.marking.note] = words.error(error, self._visits.results)
        return updates

    def _drawn(self, visit: Visit, frame: float, number: int) -> Updates:
        """The marks of this frame, and which objects there are."""
        parts, note = self._page.questions.marking, ""
        objects: list[list[Mark]] = []
        try:
            objects = marking.objects_in(visit.marks)
        except InputError as error:  # what was typed so far
            note = words.error(error, self._visits.results)
        new = len(marking.lines_of(visit.marks)) + 1
        choices = [*((str(one), one) for one in range(1, new)), ("new", new)]
        size = (visit.clip.height, visit.clip.width) if visit.clip else (1, 1)
        return {
            self._page.input.marked: marking.drawn(objects, int(frame), size, visit.corner),
            parts.marks: visit.marks,
            parts.note: note,
            parts.number: gr.update(choices=choices, value=min(number, new)),
        }

    def click(self, frame: float, number: int, tool: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Turn a click on the picture into a mark, or the first corner of a box."""
        visit = self._visits.of(request)
        if visit.clip is None:
            return {}
        at = _place(event, visit.clip)
        if tool != "box":
            visit.marks = marking.with_point(visit.marks, number, at, on_object=tool == "on", frame=int(frame))
        elif visit.corner is None:
            visit.corner = at
        else:
            visit.marks = marking.with_box(visit.marks, number, visit.corner, at, int(frame))
            visit.corner = None
        return {**self._drawn(visit, frame, number), self._page.questions.tabs: gr.Tabs(selected="point")}

    def change_tool(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Begin no box that is not gone on with."""
        visit = self._visits.of(request)
        visit.corner = None
        return self._drawn(visit, frame, number)

    def undo(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Take the last mark back, or the first corner of a box."""
        visit = self._visits.of(request)
        if visit.corner is None:
            visit.marks = marking.without_last(visit.marks, number)
        visit.corner = None
        return self._drawn(visit, frame, number)

    def clear(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Take all marks away."""
        visit = self._visits.of(request)
        visit.marks, visit.corner = "", None
        return self._drawn(visit, frame, number)

    def type(self, frame: float, number: int, marks: str, request: gr.Request) -> Updates:
        """Take marks that were typed."""
        visit = self._visits.of(request)
        visit.marks, visit.corner = marks, None
        updates = self._drawn(visit, frame, number)
        del updates[self._page.questions.marking.marks]  # it may have been typed on
        return updates


def _place(event: gr.SelectData, clip: Clip) -> marking.Point:
    """Where a click is, in pixels of the frame."""
    scale = preview_scale(clip)
    x, y = event.index
    return min(x / scale, clip.width - 1.0), min(y / scale, clip.height - 1.0)


def _always(value: object) -> Callable[[], Any]:
    return lambda: value
