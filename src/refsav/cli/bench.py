"""The commands that measure a model: run a suite, put results side by side."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from refsav.cli.model import AllowPickle, Checkpoint, Device, Dtype, OriginalSam2
from refsav.cli.options import ConfigurableCommand, takes_options_of
from refsav.model.inference_settings import InferenceSettings

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(add_completion=False)

Overrides: TypeAlias = Mapping[str, Any]


class SuiteName(StrEnum):
    """What `bench` can run."""

    ref_sav = "ref-sav"
    mevis_val_u = "mevis-val-u"
    mevis_val = "mevis-val"
    revos = "revos"
    ref_youtube_vos = "ref-youtube-vos"
    ref_davis17 = "ref-davis17"
    refcoco = "refcoco"
    refcoco_plus = "refcoco+"
    refcocog = "refcocog"
    gcg_val = "gcg-val"
    gcg_test = "gcg-test"
    region_captions = "region-captions"


class Ablation(StrEnum):
    """What `bench --ablate` can vary."""

    key_frames = "key-frames"


class CaptionTokenizer(StrEnum):
    """How captions become words."""

    ptb = "ptb"
    plain = "plain"


@app.command(cls=ConfigurableCommand)
@takes_options_of(InferenceSettings)
def bench(
    checkpoint: Checkpoint,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the dataset, as it is published.")],
    overrides: Overrides,
    suite: Annotated[
        SuiteName,
        typer.Option(
            metavar="NAME",
            help="ref-sav, mevis-val-u, revos, ref-davis17; mevis-val, ref-youtube-vos (an archive for their test "
            "servers); refcoco, refcoco+, refcocog; gcg-val, gcg-test; region-captions.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the result; usual: names of CHECKPOINT and suite.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="RefCOCO and its like: a split; may be repeated; usual: all but train.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Image suites: folder of the images, if it is not found.")] = None,
    bert: Annotated[Path | None, typer.Option(help="GCG: folder of bert-base-uncased; without it, no recall.")] = None,
    tokenizer: Annotated[
        CaptionTokenizer, typer.Option(metavar="NAME", help="Captions: ptb needs Java; plain does not, nor has METEOR.")
    ] = CaptionTokenizer.ptb,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="Videos: ask for each object with the words for another, as a control.")
    ] = False,
    ablate: Annotated[
        Ablation | None, typer.Option(metavar="WHAT", help="key-frames: run a video suite once for each rule.")
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Videos: write the masks, too, as the official scripts read them.")
    ] = False,
    limit: Annotated[
        int, typer.Option(help="Take only so many images or videos, for a trial; 0 takes all.", min=0)
    ] = 0,
    failed_share: Annotated[
        float, typer.Option("--failed-share", help="Part that may be unreadable, fraction 0-1.", min=0, max=1)
    ] = 0.0,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Measure a checkpoint on a benchmark, beside the published figures. Killed, the same command goes on.

    Needs the extra model, and for captions the extra bench.
    """
    from refsav.commands import bench as benchmarking

    benchmarking.bench(
        checkpoint,
        data,
        suite.value,
        folder=out,
        given={
            "splits": tuple(split or ()),
            "images": images,
            "bert": bert,
            "tokenizer": tokenizer.value,
            "control": "shuffled" if shuffled else "none",
        },
        ablate=ablate is not None,
        predictions=predictions,
        limit=limit,
        failed_share=failed_share,
        device=device,
        dtype=dtype,
        original_sam2=original_sam2,
        allow_pickle=allow_pickle,
        overrides=overrides,
    )


@app.command(name="bench-report")
def bench_report(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that bench has written.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file to write, too.")] = None,
) -> None:
    """Put results of one suite side by side, and beside the published figures.

    Needs the extra model.
    """
    from refsav.commands import bench as benchmarking

    benchmarking.report(folders, out)
