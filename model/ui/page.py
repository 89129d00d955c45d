"""The page's components and their layout; the event handlers are in `input_handlers` and `task_handlers`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from refsav.model.inference_settings import InferenceSettings
from refsav.model.ui import html
from refsav.model.ui.examples import Example

MAX_CHARACTERS = 2000
"""Longest text that a field takes."""

DELETE_CACHE_S = (3600, 86400)
"""How often Gradio deletes visitors' old files, and from which age on, in seconds."""

TOOLS = (("On the object", "on"), ("Outside it", "outside"), ("Box: two corners", "box"))
CAPTIONS = (("As text", "caption"), ("As text, with masks for its phrases", "grounded-caption"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSummary:
    """What the page shows about the model."""

    name: str
    facts: tuple[str, ...]
    defaults: InferenceSettings
    """The settings that `auto` stands for."""
    no_regions: str
    """Why it takes no visual prompts; empty if it takes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """Components to choose and view a file."""

    drop: gr.File
    notice: gr.HTML
    examples: gr.Row
    buttons: Sequence[gr.Button]
    """One for each example."""
    picture: gr.Image
    marked: gr.HTML
    """The marks, over the image."""
    frame: gr.Slider
    size: gr.HTML


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkControls:
    """Components to mark objects."""

    number: gr.Radio
    tool: gr.Radio
    undo: gr.Button
    clear: gr.Button
    marks: gr.Textbox
    note: gr.HTML


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Components to request a task."""

    tabs: gr.Tabs
    expressions: gr.Textbox
    question: gr.Textbox
    caption: gr.Radio
    marking: MarkControls
    run: Mapping[str, gr.Button]
    """Buttons by the task that they start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Components of the collapsed settings."""

    key_frames: gr.Textbox
    propagation: gr.Dropdown
    new_tokens: gr.Slider


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Components that show the answer."""

    status: gr.HTML
    stop: gr.Button
    overlay: gr.Image
    video: gr.Video
    answer: gr.HTML
    files: gr.Row
    json: gr.DownloadButton
    archive: gr.DownloadButton


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The components that event handlers use."""

    blocks: gr.Blocks
    input: Input
    questions: Questions
    settings: Settings
    result: Result


def build_page(model: ModelSummary, examples: Sequence[Example], max_upload_mb: int) -> Page:
    """Build the page, without event handlers.

    Args:
        model: What the page shows about the model.
        examples: Files that the page offers.
        max_upload_mb: Largest upload, in MB; only shown here.
    """
    blocks = gr.Blocks(title=f"RefSAV: {model.name}", analytics_enabled=False, delete_cache=DELETE_CACHE_S)
    with blocks:
        gr.HTML(html.header(model.name, model.facts), elem_id="head")
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="asking", min_width=320):
                with gr.Column(elem_classes="card"):
                    gr.HTML(html.heading(1, "An image or a video"))
                    given = _input(examples, max_upload_mb)
                with gr.Column(elem_classes="card"):
                    gr.HTML(html.heading(2, "What do you want to know?"))
                    questions = _questions(model)
                    settings = _settings(model.defaults)
            with gr.Column(elem_id="answering", min_width=320), gr.Column(elem_classes="card"):
                gr.HTML(html.heading(3, "The answer"))
                result = _result()
        gr.HTML(html.FOOTER)
    return Page(blocks=blocks, input=given, questions=questions, settings=settings, result=result)


def _input(examples: Sequence[Example], max_upload_mb: int) -> Input:
    label = f"Image or video, up to {max_upload_mb} MB"
    drop = gr.File(label=label, file_types=["image", "video"], show_label=False, height=170, elem_id="drop")
    notice = gr.HTML(elem_id="notice")
    with gr.Row(elem_id="examples", visible=bool(examples)) as row:
        gr.HTML(html.note("No file? Try one of these:"))
        buttons = [
            gr.Button(one.name, icon=str(one.thumbnail), size="sm", elem_classes="example", min_width=0)
            for one in examples
        ]
    with gr.Column(elem_id="stage", min_width=0):
        picture = gr.Image(
            show_label=False,
            interactive=False,
            format="jpeg",
            buttons=[],
            visible=False,
            alt_text="The image, or the selected frame of the video",
            elem_id="picture",
        )
        marked = gr.HTML(elem_id="marked")
    frame = gr.Slider(0, 1, 0, step=1, label="Frame", visible=False, elem_id="frame")
    return Input(
        drop=drop,
        notice=notice,
        examples=row,
        buttons=buttons,
        picture=picture,
        marked=marked,
        frame=frame,
        size=gr.HTML(elem_id="size"),
    )


def _questions(model: ModelSummary) -> Questions:
    run: dict[str, gr.Button] = {}
    with gr.Tabs(elem_id="tasks", selected="segment", overflow_behavior="wrap") as tabs:
        with gr.Tab("Segment", id="segment"):
            expressions = gr.Textbox(
                label="What to find",
                info="One object per line; all are segmented together.",
                placeholder="the yellow star\nthe blue ring",
                lines=3,
                max_lines=12,
                max_length=MAX_CHARACTERS,
                elem_id="expressions",
            )
            run["segment"] = _button("segment", "Find them")
        with gr.Tab("Ask", id="ask"):
            question = gr.Textbox(
                label="Your question",
                info="To get masks, start with “Please segment …”.",
                placeholder="What is unusual about this image?",
                max_lines=6,
                max_length=MAX_CHARACTERS,
                elem_id="question",
            )
            run["ask"] = _button("ask", "Ask")
        with gr.Tab("Describe", id="describe"):
            caption = gr.Radio(list(CAPTIONS), value="caption", label="Describe it", elem_id="caption")
            run["describe"] = _button("describe", "Describe")
        with gr.Tab("Point", id="point"):
            marking = _marking()
            with gr.Row():
                run["track"] = _button("track", "Get their masks")
                run["region"] = _button("region", "Describe them", is_first=False, interactive=not model.no_regions)
            if model.no_regions:
                gr.HTML(html.note(f"Marked objects cannot be described: {model.no_regions}"), elem_id="no-regions")
    return Questions(tabs=tabs, expressions=expressions, question=question, caption=caption, marking=marking, run=run)


def _marking() -> MarkControls:
    gr.HTML(html.note("Click on objects in the image above."))
    number = gr.Radio([("new", 1)], value=1, label="Object", elem_id="number")
    tool = gr.Radio(list(TOOLS), value="on", label="A click means", elem_id="tool")
    with gr.Row(elem_classes="tight"):
        undo = gr.Button("Undo", size="sm", elem_id="undo")
        clear = gr.Button("Clear all", size="sm", elem_id="clear")
    with gr.Accordion("Marks as text", open=False, elem_id="as-text"):
        marks = gr.Textbox(
            label="One object per line",
            info="x,y point on it · x,y,0 point outside it · x0,y0,x1,y1 box, in pixels · append @5 for frame 5",
            placeholder="120,80\n10,20,200,240 60,40,0",
            lines=2,
            max_length=MAX_CHARACTERS,
            elem_id="marks",
        )
    note = gr.HTML(elem_id="marks-note")
    return MarkControls(number=number, tool=tool, undo=undo, clear=clear, marks=marks, note=note)


def _settings(defaults: InferenceSettings) -> Settings:
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        key_frames = gr.Textbox(
            "auto",
            label="Key frames of a video",
            info="Frames that the language model sees: first-5, uniform-5, all, or 0,8,16. "
            f"auto is {defaults.key_frames} here.",
            max_lines=1,
            max_length=MAX_CHARACTERS,
            elem_id="key-frames",
        )
        propagation = gr.Dropdown(
            ["auto", "official", "consistent", "none"],
            value="auto",
            label="Masks of the other frames",
            info="official: as released. consistent: by SAM-2’s original decoder. none: each frame from the answer "
            f"alone. auto is {defaults.propagation} here.",
            elem_id="propagation",
        )
        new_tokens = gr.Slider(
            1, 4096, defaults.new_tokens, step=1, label="Longest answer, in tokens", elem_id="new-tokens"
        )
    return Settings(key_frames=key_frames, propagation=propagation, new_tokens=new_tokens)


def _result() -> Result:
    status = gr.HTML(html.EMPTY, elem_id="status")
    stop = gr.Button("Stop", variant="stop", size="sm", visible=False, elem_id="stop")
    overlay = gr.Image(
        show_label=False,
        interactive=False,
        buttons=["fullscreen"],
        visible=False,
        alt_text="The image with the masks drawn over it",
        elem_id="overlay",
    )
    video = gr.Video(
        show_label=False, interactive=False, autoplay=True, loop=True, buttons=[], visible=False, elem_id="film"
    )
    answer = gr.HTML(elem_id="answer")
    with gr.Row(visible=False, elem_id="files", elem_classes="tight") as files:
        json = gr.DownloadButton("result.json", size="sm", elem_id="download-json")
        archive = gr.DownloadButton("All files (zip)", size="sm", elem_id="download-zip")
    return Result(
        status=status, stop=stop, overlay=overlay, video=video, answer=answer, files=files, json=json, archive=archive
    )


def _button(kind: str, label: str, *, is_first: bool = True, interactive: bool = True) -> gr.Button:
    return gr.Button(
        label, variant="primary" if is_first else "secondary", interactive=interactive, elem_id=f"run-{kind}"
    )
