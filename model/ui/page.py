"""The page's parts and how they are laid out; what they do is in `ui_pointing` and `ui_asking`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from refsav.model.inference_settings import InferenceSettings
from refsav.model.ui import html
from refsav.model.ui.examples import Example

MAX_CHARACTERS = 2000
"""Characters of a question."""

DELETE_CACHE_S = (3600, 86400)
"""How often Gradio looks for old files of visitors, and how old they are then, in seconds."""

TOOLS = (("On the object", "on"), ("Beside it", "beside"), ("Box: two corners", "box"))
KINDS = (("In words", "caption"), ("In words, with masks for what they name", "grounded-caption"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """What the page tells of the model."""

    name: str
    facts: tuple[str, ...]
    usual: InferenceSettings
    """What `auto` means."""
    no_regions: str
    """Why it takes no visual prompts; empty if it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """Where a file is chosen and seen."""

    drop: gr.File
    notice: gr.HTML
    examples: gr.Row
    buttons: Sequence[gr.Button]
    """One for each example."""
    picture: gr.Image
    marked: gr.HTML
    """Lies over the picture."""
    frame: gr.Slider
    size: gr.HTML


@dataclass(frozen=True, kw_only=True, slots=True)
class Marking:
    """Where objects are marked."""

    number: gr.Radio
    tool: gr.Radio
    undo: gr.Button
    clear: gr.Button
    marks: gr.Textbox
    note: gr.HTML


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Where a person says what is wanted."""

    tabs: gr.Tabs
    expressions: gr.Textbox
    question: gr.Textbox
    caption: gr.Radio
    marking: Marking
    run: Mapping[str, gr.Button]
    """Buttons by what they begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Folded away."""

    key_frames: gr.Textbox
    propagation: gr.Dropdown
    new_tokens: gr.Slider


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Where answers appear."""

    status: gr.HTML
    stop: gr.Button
    overlay: gr.Image
    film: gr.Video
    answer: gr.HTML
    files: gr.Row
    json: gr.DownloadButton
    archive: gr.DownloadButton


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Every part that something happens to."""

    blocks: gr.Blocks
    input: Input
    questions: Questions
    settings: Settings
    result: Result


def lay_out(model: Model, examples: Sequence[Example], max_upload_mb: int) -> Page:
    """Make the page; nothing happens on it yet."""
    blocks = gr.Blocks(title=f"RefSAV: {model.name}", analytics_enabled=False, delete_cache=DELETE_CACHE_S)
    with blocks:
        gr.HTML(html.header(model.name, model.facts), elem_id="head")
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="asking", min_width=320):
                with gr.Column(elem_classes="card"):
                    gr.HTML(html.heading(1, "A picture or a video"))
                    given = _input(examples, max_upload_mb)
                with gr.Column(elem_classes="card"):
                    gr.HTML(html.heading(2, "What do you want to know?"))
                    questions = _questions(model)
                    settings = _settings(model.usual)
            with gr.Column(elem_id="answering", min_width=320), gr.Column(elem_classes="card"):
                gr.HTML(html.heading(3, "The answer"))
                result = _result()
        gr.HTML(html.FOOTER)
    return Page(blocks=blocks, input=given, questions=questions, settings=settings, result=result)


def _input(examples: Sequence[Example], max_upload_mb: int) -> Input:
    label = f"Picture or video, up to {max_upload_mb} MB"
    drop = gr.File(label=label, file_types=["image", "video"], show_label=False, height=170, elem_id="drop")
    notice = gr.HTML(elem_id="notice")
    with gr.Row(elem_id="examples", visible=bool(examples)) as row:
        gr.HTML(html.note("No file at hand? Try one of these:"))
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
            alt_text="The picture, or the frame of the video that is shown",
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


def _questions(model: Model) -> Questions:
    run: dict[str, gr.Button] = {}
    with gr.Tabs(elem_id="tasks", selected="segment", overflow_behavior="wrap") as tabs:
        with gr.Tab("Segment", id="segment"):
            expressions = gr.Textbox(
                label="What to find",
                info="One object on each line; all are found at once.",
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
                info="Ask for masks too: “Please segment what …”.",
                placeholder="What is unusual about this picture?",
                max_lines=6,
                max_length=MAX_CHARACTERS,
                elem_id="question",
            )
            run["ask"] = _button("ask", "Ask")
        with gr.Tab("Describe", id="describe"):
            caption = gr.Radio(list(KINDS), value="caption", label="Describe it", elem_id="caption")
            run["describe"] = _button("describe", "Describe")
        with gr.Tab("Point", id="point"):
            marking = _marking()
            with gr.Row():
                run["track"] = _button("track", "Get their masks")
                run["region"] = _button("region", "Describe them", is_first=False, interactive=not model.no_regions)
            if model.no_regions:
                gr.HTML(html.note(f"Marked objects cannot be described: {model.no_regions}"), elem_id="no-regions")
    return Questions(tabs=tabs, expressions=expressions, question=question, caption=caption, marking=marking, run=run)


def _marking() -> Marking:
    gr.HTML(html.note("Click on objects in the picture above."))
    number = gr.Radio([("new", 1)], value=1, label="Object", elem_id="number")
    tool = gr.Radio(list(TOOLS), value="on", label="A click means", elem_id="tool")
    with gr.Row(elem_classes="tight"):
        undo = gr.Button("Undo", size="sm", elem_id="undo")
        clear = gr.Button("Clear all", size="sm", elem_id="clear")
    with gr.Accordion("Marks as text", open=False, elem_id="as-text"):
        marks = gr.Textbox(
            label="One object on each line",
            info="x,y on it · x,y,0 beside it · x0,y0,x1,y1 a box, all in pixels · @5 in frame 5",
            placeholder="120,80\n10,20,200,240 60,40,0",
            lines=2,
            max_length=MAX_CHARACTERS,
            elem_id="marks",
        )
    return Marking(number=number, tool=tool, undo=undo, clear=clear, marks=marks, note=gr.HTML(elem_id="marks-note"))


def _settings(usual: InferenceSettings) -> Settings:
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        key_frames = gr.Textbox(
            "auto",
            label="Key frames of a video",
            info=f"What the language model sees: first-5, uniform-5, all, or 0,8,16. auto is {usual.key_frames} here.",
            max_lines=1,
            max_length=MAX_CHARACTERS,
            elem_id="key-frames",
        )
        propagation = gr.Dropdown(
            ["auto", "official", "consistent", "none"],
            value="auto",
            label="How the other frames get their masks",
            info="official: as released. consistent: SAM-2’s own decoder follows. none: every frame from the html. "
            f"auto is {usual.propagation} here.",
            elem_id="propagation",
        )
        new_tokens = gr.Slider(
            1, 4096, usual.new_tokens, step=1, label="Longest answer, in tokens", elem_id="new-tokens"
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
        alt_text="The picture with the masks drawn over it",
        elem_id="overlay",
    )
    film = gr.Video(
        show_label=False, interactive=False, autoplay=True, loop=True, buttons=[], visible=False, elem_id="film"
    )
    answer = gr.HTML(elem_id="answer")
    with gr.Row(visible=False, elem_id="files", elem_classes="tight") as files:
        json = gr.DownloadButton("result.json", size="sm", elem_id="download-json")
        archive = gr.DownloadButton("All files (zip)", size="sm", elem_id="download-zip")
    return Result(
        status=status, stop=stop, overlay=overlay, film=film, answer=answer, files=files, json=json, archive=archive
    )


def _button(kind: str, label: str, *, is_first: bool = True, interactive: bool = True) -> gr.Button:
    return gr.Button(
        label, variant="primary" if is_first else "secondary", interactive=interactive, elem_id=f"run-{kind}"
    )
