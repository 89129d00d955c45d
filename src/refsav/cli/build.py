"""The commands that build a dataset: from videos, from synthetic scenes, from an existing Ref-SAV.json."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from refsav.cli.app import err, out
from refsav.cli.arguments import Amount, BuiltRun, ConfigFile, Count, Overrides, PositiveCount, Run, Source
from refsav.cli.options import takes_options_of
from refsav.commands import run_flows
from refsav.config import with_overrides
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.flows.config.build import BuildConfig


def demo(
    run: Annotated[Path, Parameter(help="Run directory.")] = Path("runs/demo"),
    /,
    *,
    videos: Annotated[PositiveCount, Parameter(help="Number of scenes to generate.")] = 12,
) -> None:
    """Build a small dataset from synthetic scenes: no model, no network, about a minute."""
    from refsav.commands.summary import as_typed
    from refsav.disk.lock import exclusive

    scenes = run.parent / f"{run.name}-scenes"
    with exclusive(run.resolve()):  # an unusable run directory is reported before scenes are written next to it
        pass
    make_scenes(scenes, SynthConfig(videos=videos))
    run_flows.build(scenes, run, BuildConfig.from_mapping({"split": {"val_share": 0.2}}, "demo"))
    called = escape(as_typed(sys.argv[0]))
    out.print(
        "\nNext, with your own videos in SA-V's layout (docs/own-data.md):"
        f"\n  [bold]{called} build VIDEOS runs/mine[/]          the same, with the embedded annotator"
        f"\n  [bold]{called} serve vlm --profile one-gpu[/]     start a model; it prints the options for build"
    )


@takes_options_of(BuildConfig)
def build(source: Source, run: Run, /, *, overrides: Overrides, config: ConfigFile = None) -> None:
    """Caption every object of SOURCE; write shards, exports, statistics and a gallery to RUN.

    After an interruption or a failure, run the same command again: it resumes, and no model reply is paid for twice.
    """
    run_flows.build(source, run, _build_config(config, overrides))


@takes_options_of(BuildConfig)
def retry(run: BuiltRun, /, *, overrides: Overrides) -> None:
    """Retry the failed objects of a run, and only those, with the settings of the run.

    Options about how a model is reached may change, for example --vlm.addresses.
    """
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows.config.build import read_settings

    source, config = read_settings(RunDirectory(run))
    changed = BuildConfig.from_mapping(with_overrides(config.model_dump(mode="json"), overrides), "command line")
    run_flows.build(source, run, changed, retry_failed=True)


@takes_options_of(BuildConfig)
def estimate(
    source: Source,
    /,
    *,
    overrides: Overrides,
    profile: Annotated[str, Parameter(help="Models: paper, modern, one-gpu, cpu, or a TOML file.")] = "paper",
    like: Annotated[Path | None, Parameter(help="Run whose measured token counts are used.")] = None,
    videos: Annotated[PositiveCount, Parameter(help="Videos to read; the others are assumed to be similar.")] = 200,
    of_videos: Annotated[Count, Parameter(help="Videos to estimate for; 0: all of SOURCE.")] = 0,
    gpus: Annotated[Count, Parameter(help="GPUs to use; 0: one server of each model.")] = 0,
    euros: Annotated[Amount, Parameter(help="Price of a GPU-hour; 0 shows no cost.")] = 0.0,
    config: ConfigFile = None,
) -> None:
    """Estimate the requests, tokens and GPU-hours of a build before you spend them."""
    from refsav.commands.estimate import estimate_build

    settings = _build_config(config, overrides)
    estimate_build(
        source, settings, profile=profile, like=like, videos=videos, of_videos=of_videos, gpus=gpus, euros=euros
    )


@takes_options_of(SynthConfig)
def synth(
    folder: Annotated[Path, Parameter(name="OUT", help="Folder to write; existing scenes in it are kept.")],
    /,
    *,
    overrides: Overrides,
) -> None:
    """Generate videos of moving shapes in SA-V's format, with their ground truth."""
    make_scenes(folder, SynthConfig.from_mapping(with_overrides({}, overrides), "command line"))


@takes_options_of(BuildConfig)
def import_(
    annotations: Annotated[Path, Parameter(help="A Ref-SAV.json, for example the published one.")],
    source: Annotated[Path, Parameter(help="Folder that its paths start from: SA-V's videos.")],
    run: Run,
    /,
    *,
    overrides: Overrides,
    config: ConfigFile = None,
) -> None:
    """Create a run from an existing Ref-SAV.json: to shard, measure, browse and train on it."""
    run_flows.import_official(annotations, source, run, _build_config(config, overrides))


def make_scenes(folder: Path, config: SynthConfig) -> None:
    """Write synthetic scenes, with a progress bar."""
    from rich.progress import track

    from refsav.datasets.synthetic.write_scenes import write_scenes
    from refsav.plural import plural

    scenes = write_scenes(folder, config)
    for _ in track(scenes, "generating scenes", total=config.videos, console=err, disable=not err.is_terminal):
        pass
    out.print(f"scenes: {config.videos} {plural(config.videos, 'video')} in {escape(str(folder))}")


def _build_config(path: Path | None, overrides: Overrides) -> BuildConfig:
    if path:
        return BuildConfig.from_toml(path, overrides)
    return BuildConfig.from_mapping(with_overrides({}, overrides), "command line")
