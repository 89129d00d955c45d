"""Step 1 of the page, and clicks on what is seen there: files are opened, frames shown, objects marked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from refsav.errors import RefSavError
from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip, open_clip
from refsav.model.sam.point_prompts import Mark
from refsav.model.ui import html, mark_editor
from refsav.model.ui.page import Page
from refsav.model.ui.run_request import described, preview, preview_scale
from refsav.model.ui.sessions import EVENT_OPTIONS, Session, Sessions, Updates


class InputHandlers:
    """What happens when a file is chosen or a frame clicked on."""

    def __init__(self, page: Page, sessions: Sessions) -> None:
        self._page, self._sessions = page, sessions

    def bind(self, files: Sequence[Path]) -> None:
        """Say what each part does; `files` belong to the buttons with examples."""
        given, marking_, tabs = self._page.input, self._page.questions.marking, self._page.questions.tabs
        for button, file in zip(given.buttons, files, strict=True):
            button.click(_always(str(file)), None, [given.drop], **EVENT_OPTIONS)
        drawn = [given.marked, marking_.marks, marking_.note, marking_.number]
        opened = [given.picture, given.frame, given.size, given.notice, given.examples, *drawn]
        of_marks, last = [given.frame, marking_.number], {**EVENT_OPTIONS, "trigger_mode": "always_last"}
        given.drop.change(self.open, [given.drop], [*opened, self._page.questions.run["track"]], **EVENT_OPTIONS)
        given.frame.change(self.show, of_marks, [given.picture, *drawn], **last)
        # Every click counts, in the order in which they come.
        each = {**EVENT_OPTIONS, "trigger_mode": "multiple", "concurrency_limit": 1}
        given.picture.select(self.click, [*of_marks, marking_.tool], [*drawn, tabs], **each)
        marking_.tool.change(self.change_tool, of_marks, drawn, **EVENT_OPTIONS)
        marking_.undo.click(self.undo, of_marks, drawn, **EVENT_OPTIONS)
        marking_.clear.click(self.clear, of_marks, drawn, **EVENT_OPTIONS)
        marking_.marks.input(self.type, [*of_marks, marking_.marks], drawn, **last)

    def open(self, file: str | None, request: gr.Request) -> Updates:
        """Open what was dropped, and show its first frame; without a file, begin anew."""
        given, session = self._page.input, self._sessions.of(request)
        session.clip, session.marks, session.corner = None, "", None
        empty: Updates = {
            given.picture: gr.update(value=None, visible=False),
            given.frame: gr.update(value=0, visible=False),
            given.size: "",
            given.notice: "",
            given.examples: gr.update(visible=bool(given.buttons)),
            **self._drawn(session, 0, 1),
        }
        if file is None:
            return empty
        try:
            clip = open_clip(Path(file))
            picture = preview(clip, 0)
        except RefSavError as error:
            return {**empty, given.notice: html.error(error, Path(file).parent)}
        session.clip = clip
        is_video = clip.count > 1
        return {
            **empty,
            given.picture: gr.update(value=picture, visible=True),
            given.frame: gr.update(value=0, maximum=max(1, clip.count - 1), visible=is_video),
            given.size: html.note(described(clip)),
            given.examples: gr.update(visible=False),
            self._page.questions.run["track"]: "Follow them" if is_video else "Get their masks",
        }

    def show(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Show another frame of a video."""
        session = self._sessions.of(request)
        updates = self._drawn(session, frame, number)
        if session.clip:
            try:
                updates[self._page.input.picture] = preview(session.clip, min(int(frame), session.clip.count - 1))
            except RefSavError as error:
                updates[self._page.questions.marking.note] = html.error(error, self._sessions.results)
        return updates

    def _drawn(self, session: Session, frame: float, number: int) -> Updates:
        """The marks of this frame, and which objects there are."""
        parts, note = self._page.questions.marking, ""
        objects: list[list[Mark]] = []
        try:
            objects = mark_editor.objects_in(session.marks)
        except InputError as error:  # what was typed so far
            note = html.error(error, self._sessions.results)
        new = len(mark_editor.lines_of(session.marks)) + 1
        choices = [*((str(one), one) for one in range(1, new)), ("new", new)]
        size = (session.clip.height, session.clip.width) if session.clip else (1, 1)
        return {
            self._page.input.marked: mark_editor.drawn(objects, int(frame), size, session.corner),
            parts.marks: session.marks,
            parts.note: note,
            parts.number: gr.update(choices=choices, value=min(number, new)),
        }

    def click(self, frame: float, number: int, tool: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Turn a click on the picture into a mark, or the first corner of a box."""
        session = self._sessions.of(request)
        if session.clip is None:
            return {}
        at = _place(event, session.clip)
        if tool != "box":
            session.marks = mark_editor.with_point(session.marks, number, at, on_object=tool == "on", frame=int(frame))
        elif session.corner is None:
            session.corner = at
        else:
            session.marks = mark_editor.with_box(session.marks, number, session.corner, at, int(frame))
            session.corner = None
        return {**self._drawn(session, frame, number), self._page.questions.tabs: gr.Tabs(selected="point")}

    def change_tool(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Begin no box that is not gone on with."""
        session = self._sessions.of(request)
        session.corner = None
        return self._drawn(session, frame, number)

    def undo(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Take the last mark back, or the first corner of a box."""
        session = self._sessions.of(request)
        if session.corner is None:
            session.marks = mark_editor.without_last(session.marks, number)
        session.corner = None
        return self._drawn(session, frame, number)

    def clear(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Take all marks away."""
        session = self._sessions.of(request)
        session.marks, session.corner = "", None
        return self._drawn(session, frame, number)

    def type(self, frame: float, number: int, marks: str, request: gr.Request) -> Updates:
        """Take marks that were typed."""
        session = self._sessions.of(request)
        session.marks, session.corner = marks, None
        updates = self._drawn(session, frame, number)
        del updates[self._page.questions.marking.marks]  # it may have been typed on
        return updates


def _place(event: gr.SelectData, clip: Clip) -> mark_editor.Point:
    """Where a click is, in pixels of the frame."""
    scale = preview_scale(clip)
    x, y = event.index
    return min(x / scale, clip.width - 1.0), min(y / scale, clip.height - 1.0)


def _always(value: object) -> Callable[[], Any]:
    return lambda: value
