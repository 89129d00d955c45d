"""The commands that measure a model: run a suite, compare results, time a call."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from refsav.benchmarks.suites.registry import SUITES
from refsav.cli.arguments import (
    AllowPickle,
    Checkpoint,
    Count,
    Device,
    Dtype,
    Flag,
    OriginalSam2,
    Overrides,
    PositiveCount,
    Share,
)
from refsav.cli.options import takes_options_of
from refsav.model.inference_settings import InferenceSettings

if TYPE_CHECKING:
    SuiteName = str
else:  # type checkers accept only literals that are written out
    SuiteName = Literal[tuple(SUITES)]


@takes_options_of(InferenceSettings)
def bench(
    checkpoint: Checkpoint,
    data: Annotated[Path, Parameter(help="Folder of the dataset, in its published layout.")],
    /,
    *,
    overrides: Overrides,
    suite: Annotated[
        SuiteName, Parameter(help="mevis-val and ref-youtube-vos write an archive for their test servers.")
    ],
    out: Annotated[
        Path | None, Parameter(help="Folder for the result. Default: names of CHECKPOINT and suite.")
    ] = None,
    split: Annotated[
        list[str] | None,
        Parameter(help="RefCOCO/+/g: a split; may be repeated. Default: all but train."),
    ] = None,
    images: Annotated[Path | None, Parameter(help="Image suites: folder of the images, if not found in DATA.")] = None,
    bert: Annotated[Path | None, Parameter(help="GCG: folder of bert-base-uncased; without it, no recall.")] = None,
    tokenizer: Annotated[
        Literal["ptb", "plain"], Parameter(help="Captions: ptb needs Java; plain does not, but gives no METEOR.")
    ] = "ptb",
    shuffled: Annotated[
        Flag, Parameter(help="Videos: prompt for each object with another object's expression, as a control.")
    ] = False,
    ablate: Annotated[
        Literal["key-frames"] | None, Parameter(help="key-frames: run a video suite once with each key-frame rule.")
    ] = None,
    predictions: Annotated[
        Flag, Parameter(help="Videos: also write the masks, in the layout that the official scripts read.")
    ] = False,
    limit: Annotated[Count, Parameter(help="Use only the first images or videos, for a trial; 0: all.")] = 0,
    failed_share: Annotated[Share, Parameter(help="Share of items that may be unreadable, 0-1.")] = 0.0,
    device: Device = None,
    dtype: Dtype = None,
    original_sam2: OriginalSam2 = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Measure a checkpoint on a benchmark, next to the published figures.

    After an interruption, run the same command again to resume. Needs the extra model, and for captions the extra
    bench.
    """
    from refsav.commands import bench as command

    command.bench(
        checkpoint,
        data,
        suite,
        folder=out,
        given={
            "splits": tuple(split or ()),
            "images": images,
            "bert": bert,
            "tokenizer": tokenizer,
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


def bench_report(
    folders: Annotated[list[Path], Parameter(name="RUN", help="Folders that refsav bench has written.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Markdown file to write as well.")] = None,
) -> None:
    """Compare several results of one suite with each other and with the published figures.

    Needs the extra model.
    """
    from refsav.commands import bench as command

    command.report(folders, out)


def bench_speed(
    origin: Annotated[
        Path, Parameter(name="MODEL", help="A checkpoint, or a TOML file of sizes such as configs/models/1b.toml.")
    ],
    /,
    *,
    rounds: Annotated[PositiveCount, Parameter(help="Calls to time, after one warm-up call.")] = 10,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Time one call as in Sa2VA, Table 19: 5 frames, 1,280 image tokens, "Please segment the man."."""
    from refsav.commands import bench_speed as command

    command.bench_speed(origin, rounds=rounds, device=device, dtype=dtype)
