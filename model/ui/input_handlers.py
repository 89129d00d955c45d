"""Event handlers of step 1 of the page and of its marks: open files, show frames, turn clicks into marks."""

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
from refsav.model.ui.run_request import describe_clip, preview, preview_scale
from refsav.model.ui.sessions import EVENT_OPTIONS, Session, Sessions, Updates


class InputHandlers:
    """Handlers of the file chooser, the frame slider, clicks on the image and the mark controls."""

    def __init__(self, page: Page, sessions: Sessions) -> None:
        self._page, self._sessions = page, sessions

    def bind(self, files: Sequence[Path]) -> None:
        """Attach the handlers to the page; `files` are those of the example buttons, in order."""
        given, controls, tabs = self._page.input, self._page.questions.marking, self._page.questions.tabs
        for button, file in zip(given.buttons, files, strict=True):
            button.click(_constant(str(file)), None, [given.drop], **EVENT_OPTIONS)
        marks = [given.marked, controls.marks, controls.note, controls.number]
        opened = [given.picture, given.frame, given.size, given.notice, given.examples, *marks]
        position, latest = [given.frame, controls.number], {**EVENT_OPTIONS, "trigger_mode": "always_last"}
        given.drop.change(self.open, [given.drop], [*opened, self._page.questions.run["track"]], **EVENT_OPTIONS)
        given.frame.change(self.show, position, [given.picture, *marks], **latest)
        # Every click counts, in the order of the clicks.
        each = {**EVENT_OPTIONS, "trigger_mode": "multiple", "concurrency_limit": 1}
        given.picture.select(self.click, [*position, controls.tool], [*marks, tabs], **each)
        controls.tool.change(self.change_tool, position, marks, **EVENT_OPTIONS)
        controls.undo.click(self.undo, position, marks, **EVENT_OPTIONS)
        controls.clear.click(self.clear, position, marks, **EVENT_OPTIONS)
        controls.marks.input(self.type, [*position, controls.marks], marks, **latest)

    def open(self, file: str | None, request: gr.Request) -> Updates:
        """Open the chosen file and show its first frame; without a file, reset the page."""
        given, session = self._page.input, self._sessions.of(request)
        session.clip, session.marks, session.corner = None, "", None
        empty: Updates = {
            given.picture: gr.update(value=None, visible=False),
            given.frame: gr.update(value=0, visible=False),
            given.size: "",
            given.notice: "",
            given.examples: gr.update(visible=bool(given.buttons)),
            **self._show_marks(session, 0, 1),
        }
        if file is None:
            return empty
        try:
            clip = open_clip(Path(file))
            frame = preview(clip, 0)
        except RefSavError as error:
            return {**empty, given.notice: html.error(error, Path(file).parent)}
        session.clip = clip
        is_video = clip.count > 1
        return {
            **empty,
            given.picture: gr.update(value=frame, visible=True),
            given.frame: gr.update(value=0, maximum=max(1, clip.count - 1), visible=is_video),
            given.size: html.note(describe_clip(clip)),
            given.examples: gr.update(visible=False),
            self._page.questions.run["track"]: "Track them" if is_video else "Get their masks",
        }

    def show(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Show another frame of the video, with its marks."""
        session = self._sessions.of(request)
        updates = self._show_marks(session, frame, number)
        if session.clip:
            try:
                updates[self._page.input.picture] = preview(session.clip, min(int(frame), session.clip.count - 1))
            except RefSavError as error:
                updates[self._page.questions.marking.note] = html.error(error, self._sessions.results)
        return updates

    def _show_marks(self, session: Session, frame: float, number: int) -> Updates:
        """Show the marks of a frame, and offer the marked objects' numbers and one for a new object."""
        controls, note = self._page.questions.marking, ""
        objects: list[list[Mark]] = []
        try:
            objects = mark_editor.objects_in(session.marks)
        except InputError as error:  # the visitor is still typing
            note = html.error(error, self._sessions.results)
        new = len(mark_editor.lines_of(session.marks)) + 1
        choices = [*((str(one), one) for one in range(1, new)), ("new", new)]
        size = (session.clip.height, session.clip.width) if session.clip else (1, 1)
        return {
            self._page.input.marked: mark_editor.overlay(objects, int(frame), size, session.corner),
            controls.marks: session.marks,
            controls.note: note,
            controls.number: gr.update(choices=choices, value=min(number, new)),
        }

    def click(self, frame: float, number: int, tool: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Turn a click on the image into a point, or into a corner of a box."""
        session = self._sessions.of(request)
        if session.clip is None:
            return {}
        at = _clicked_point(event, session.clip)
        if tool != "box":
            on_object = tool == "on"
            session.marks = mark_editor.with_point(session.marks, number, at, on_object=on_object, frame=int(frame))
        elif session.corner is None:
            session.corner = at
        else:
            session.marks = mark_editor.with_box(session.marks, number, session.corner, at, int(frame))
            session.corner = None
        return {**self._show_marks(session, frame, number), self._page.questions.tabs: gr.Tabs(selected="point")}

    def change_tool(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Drop the first corner of a box that was not finished."""
        session = self._sessions.of(request)
        session.corner = None
        return self._show_marks(session, frame, number)

    def undo(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Remove the last mark, or the first corner of a box."""
        session = self._sessions.of(request)
        if session.corner is None:
            session.marks = mark_editor.without_last(session.marks, number)
        session.corner = None
        return self._show_marks(session, frame, number)

    def clear(self, frame: float, number: int, request: gr.Request) -> Updates:
        """Remove all marks."""
        session = self._sessions.of(request)
        session.marks, session.corner = "", None
        return self._show_marks(session, frame, number)

    def type(self, frame: float, number: int, marks: str, request: gr.Request) -> Updates:
        """Take over marks that were typed."""
        session = self._sessions.of(request)
        session.marks, session.corner = marks, None
        updates = self._show_marks(session, frame, number)
        del updates[self._page.questions.marking.marks]  # the visitor may have typed more since
        return updates


def _clicked_point(event: gr.SelectData, clip: Clip) -> mark_editor.Point:
    """Convert a click on the preview into (x, y) in pixels of the frame."""
    scale = preview_scale(clip)
    x, y = event.index
    return min(x / scale, clip.width - 1.0), min(y / scale, clip.height - 1.0)


def _constant(value: object) -> Callable[[], Any]:
    return lambda: value
