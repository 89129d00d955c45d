"""The commands about the model: ask it, open its web page, create a checkpoint."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from refsav.cli.arguments import (
    AllowPickle,
    Checkpoint,
    Count,
    Device,
    Dtype,
    Flag,
    OriginalSam2,
    Overrides,
    Port,
    PositiveCount,
)
from refsav.cli.options import takes_options_of
from refsav.model.inference_settings import InferenceSettings


@takes_options_of(InferenceSettings)
def predict(
    checkpoint: Checkpoint,
    source: Annotated[Path, Parameter(name="INPUT", help="Image, video, or folder of frames.")],
    texts: Annotated[list[str] | None, Parameter(name="TEXT", help="One or several questions or names.")] = None,
    /,
    *,
    overrides: Overrides,
    task: Annotated[
        Literal["ask", "segment", "caption", "grounded-caption", "region", "track"] | None,
        Parameter(
            help="ask: answer TEXT. segment: find the object that TEXT names. caption, grounded-caption: no TEXT. "
            "region: describe marked regions of an image. track: follow marked objects. "
            "Default: ask with TEXT, track with --mark, otherwise caption."
        ),
    ] = None,
    mark: Annotated[
        list[str] | None,
        Parameter(
            help="An object: 'x,y' a point on it, 'x,y,0' a point outside it, 'x0,y0,x1,y1' a box; append '@12' to "
            "choose the frame; may be repeated."
        ),
    ] = None,
    mask: Annotated[
        list[Path] | None, Parameter(help="A region, as an image of the size of the input; may be repeated.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder for the result. Default: name of INPUT and task.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Ask Sa2VA about an image or a video: segment what you name, chat, caption, describe regions, track objects.

    Needs the extra model, which installs torch, transformers and sam2.
    """
    from refsav.commands import predict as command

    command.predict(
        checkpoint,
        source,
        texts or [],
        task=task,
        marks=mark or [],
        masks=mask or [],
        folder=out,
        device=device,
        dtype=dtype,
        original_sam2=original_sam2,
        allow_pickle=allow_pickle,
        overrides=overrides,
    )


def create(
    origin: Annotated[
        Path,
        Parameter(
            name="CONFIG_OR_BASE",
            help="TOML file of sizes, such as configs/models/pocket.toml, or directory of a base model: Qwen2.5-VL, "
            "Qwen3-VL, InternVL.",
        ),
    ],
    target: Annotated[Path, Parameter(name="OUT", help="Directory for the checkpoint.")],
    /,
    *,
    sam2: Annotated[
        Path | None, Parameter(help="SAM-2's original checkpoint for a base model: sam2_hiera_large.pt.")
    ] = None,
    allow_pickle: Annotated[Flag, Parameter(help="Allow a .pt file as --sam2; it can run code, so trust it.")] = False,
    keep_decoder: Annotated[
        Flag, Parameter(help="Keep a second copy of SAM-2's mask decoder, for consistent propagation.")
    ] = False,
    seed: Annotated[Count, Parameter(help="Seed of the random weights.")] = 0,
    force: Annotated[Flag, Parameter(help="Overwrite an existing checkpoint in OUT.")] = False,
) -> None:
    """Create a Sa2VA to train: with random weights from sizes alone, or from a base model and a SAM-2.

    Needs the extra model, which installs torch, transformers and sam2.
    """
    from refsav.commands import create as command

    command.create(
        origin, target, sam2=sam2, allow_pickle=allow_pickle, keep_decoder=keep_decoder, seed=seed, force=force
    )


def ui(
    checkpoint: Checkpoint,
    /,
    *,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 allows other machines.")] = "127.0.0.1",
    port: Annotated[Port, Parameter(help="Port to listen on; 0 takes a free one.")] = 7860,
    examples: Annotated[
        Path | None, Parameter(help="Folder of images and videos to offer. Default: two synthetic ones.")
    ] = None,
    upload_mb: Annotated[PositiveCount, Parameter(help="Largest file that a visitor may upload, in MB.")] = 200,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Open a web page to ask Sa2VA about images and videos; it runs until Ctrl-C and serves this machine only.

    Needs the extras model and ui. Nothing is sent to other machines, and uploads are deleted at the end.
    """
    from refsav.commands import ui as command

    command.serve(
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
