"""The commands about the model: ask it, make one, time it, open its page."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from refsav.cli.options import ConfigurableCommand, takes_options_of
from refsav.model.inference_settings import InferenceSettings

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(add_completion=False)

Checkpoint = Annotated[Path, typer.Argument(help="Directory of a Sa2VA checkpoint, official or ours.")]
Device = Annotated[str | None, typer.Option(help="cuda, cuda:1, cpu; left out: a GPU if there is one.")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16, stored; left out: bfloat16 on a GPU, else float32.")
]
OriginalSam2 = Annotated[Path | None, typer.Option(help="SAM-2's own checkpoint, for consistent propagation.")]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Let --original-sam2 be a .pt file.")]
Overrides: TypeAlias = Mapping[str, Any]


class PredictTask(StrEnum):
    """What `predict` can do."""

    ask = "ask"
    segment = "segment"
    caption = "caption"
    grounded_caption = "grounded-caption"
    region = "region"
    track = "track"


@app.command(cls=ConfigurableCommand)
@takes_options_of(InferenceSettings)
def predict(
    checkpoint: Checkpoint,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Image, video, or folder of frames.")],
    overrides: Overrides,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="What to ask; one or several.")] = None,
    task: Annotated[
        PredictTask | None,
        typer.Option(
            metavar="NAME",
            help="ask: TEXT as it stands. segment: TEXT names an object. caption, grounded-caption: no TEXT. "
            "region: describe marked regions of an image. track: follow marked objects. "
            "Left out: ask with TEXT, track with --mark, else caption.",
        ),
    ] = None,
    mark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MARKS",
            help="An object: 'x,y' on it, 'x,y,0' beside it, 'x0,y0,x1,y1' a box, '@frame'; may be repeated.",
        ),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="A region as a picture of the input's size; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result; usual: INPUT's name and task.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Ask Sa2VA about an image or a video: masks of what you name, chat, captions, regions, objects to follow.

    Needs the extra model, which brings torch, transformers and sam2.
    """
    from refsav.commands import predict as predicting

    predicting.predict(
        checkpoint,
        source,
        texts or [],
        task=task.value if task else None,
        marks=mark or [],
        masks=mask or [],
        folder=out,
        device=device,
        dtype=dtype,
        original_sam2=original_sam2,
        allow_pickle=allow_pickle,
        overrides=overrides,
    )


@app.command()
def create(
    origin: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG_OR_BASE",
            help="TOML file of sizes, such as configs/models/pocket.toml, or directory of a base model: Qwen2.5-VL, "
            "Qwen3-VL, InternVL.",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Directory for the checkpoint.")],
    sam2: Annotated[
        Path | None, typer.Option(metavar="PATH", help="SAM-2's own checkpoint, for a base model: sam2_hiera_large.pt.")
    ] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Let --sam2 be a .pt file.")] = False,
    keep_decoder: Annotated[
        bool,
        typer.Option("--keep-decoder", help="Keep SAM-2's mask decoder a second time, for consistent propagation."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random weights.", min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a checkpoint that OUT holds.")] = False,
) -> None:
    """Make a Sa2VA to train: with random weights from sizes alone, or of a base model and a SAM-2.

    Needs the extra model, which brings torch, transformers and sam2.
    """
    from refsav.commands import create as creating

    creating.create(
        origin,
        target,
        sam2=sam2,
        allow_pickle=allow_pickle,
        keep_decoder=keep_decoder,
        seed=seed,
        force=force,
    )


@app.command(name="bench-speed")
def bench_speed(
    origin: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A checkpoint, or a TOML file of sizes such as configs/models/1b.toml."),
    ],
    rounds: Annotated[int, typer.Option(help="Calls that are timed, after one that is not.", min=1)] = 10,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Time one call as the paper does (Table 19): 5 frames, 1,280 image tokens, "Please segment the man."."""
    from refsav.commands import bench_speed as timing

    timing.bench_speed(origin, rounds=rounds, device=device, dtype=dtype)


@app.command()
def ui(
    checkpoint: Checkpoint,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 7860,
    examples: Annotated[
        Path | None, typer.Option(help="Folder of pictures and videos to offer; left out: two made ones.")
    ] = None,
    upload_mb: Annotated[int, typer.Option(help="Largest file that a visitor may upload, in MB.", min=1)] = 200,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Open a page in the browser to ask Sa2VA about images and videos; it serves this machine until Ctrl-C.

    Needs the extras model and ui. Nothing leaves this machine, and nothing is left when it ends.
    """
    from refsav.commands import ui as serving_ui

    serving_ui.serve(
        checkpoint,
        host=host,
        port=port,
        examples=examples,
        upload_mb=upload_mb,
        device=device,
        dtype=dtype,
        original_sam2=original_sam2,
        allow_pickle=allow_pickle,
    )
