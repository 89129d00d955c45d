"""The command line: `refsav build SOURCE RUN` and what belongs to it. Prints results and errors a person can act on."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from refsav import __version__
from refsav.cli.bench import app as bench_commands
from refsav.cli.model import app as model_commands
from refsav.cli.options import ConfigurableCommand, takes_options_of
from refsav.cli.review import app as review_commands
from refsav.cli.serve import app as serve_commands
from refsav.cli.service import app as service_commands
from refsav.cli.train import app as train_commands
from refsav.commands import run_flows as launch
from refsav.commands.run_flows import err, out
from refsav.config import with_overrides
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.errors import RefSavError
from refsav.flows.config.build import BuildConfig
from refsav.memory import settle_memory
from refsav.stopping import INTERRUPTED

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(
    name="refsav",
    help="Turn videos with object masks into Ref-SAV: an expression for every object, checked, sharded, to look at.",
    epilog="Begin with: refsav demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Source = Annotated[Path, typer.Argument(help="Folder of videos and masklets, in one of SA-V's layouts.")]
Run = Annotated[Path, typer.Argument(help="Run directory: made if new, completed if not.")]
OldRun = Annotated[Path, typer.Argument(help="Run directory of an earlier build.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file; options on the command line win over it.")
]
Overrides: TypeAlias = Mapping[str, Any]


@app.command()
def demo(
    run: Annotated[Path, typer.Argument(help="Run directory.")] = Path("runs/demo"),
    videos: Annotated[int, typer.Option(help="How many scenes to make.", min=1)] = 12,
) -> None:
    """Build a small dataset from made scenes: no model, no network, about a minute."""
    from refsav.commands.summary import as_typed
    from refsav.lock import exclusive

    scenes = run.parent / f"{run.name}-scenes"
    with exclusive(run.resolve()):  # a place that cannot be used is told before scenes are made beside it
        pass
    _make_scenes(scenes, SynthConfig(videos=videos))
    launch.build(scenes, run, BuildConfig.from_mapping({"split": {"val_share": 0.2}}, "demo"))
    called = escape(as_typed(sys.argv[0]))
    out.print(
        "\nNext, with videos of your own in SA-V's layout (docs/own-data.md):"
        f"\n  [bold]{called} build VIDEOS runs/mine[/]          the same, with the embedded annotator"
        f"\n  [bold]{called} serve vlm --profile one-gpu[/]     start a model; it prints the options for build"
    )


@app.command(name="demo-full")
def demo_full(
    run: Annotated[Path, typer.Argument(help="Run directory.")] = Path("runs/demo-full"),
    config: Annotated[Path, typer.Option(help="TOML file with all settings.")] = Path("configs/demo-full.toml"),
) -> None:
    """Build a dataset from made scenes, train a pocket Sa2VA on it, benchmark it: a quarter of an hour on a CPU.

    Needs the extra train. Killed, the same command goes on.
    """
    from refsav.flows.config.end_to_end import EndToEndConfig

    settings = EndToEndConfig.from_toml(config)
    scenes = run.parent / f"{run.name}-scenes"
    _make_scenes(scenes, settings.scenes)
    launch.end_to_end(scenes, run, settings)


@app.command(cls=ConfigurableCommand)
@takes_options_of(BuildConfig)
def build(source: Source, run: Run, overrides: Overrides, config: ConfigFile = None) -> None:
    """Describe every object of SOURCE and leave shards, exports, statistics and a gallery in RUN.

    Killed or failed, the same command goes on where it stopped; no reply is paid for twice.
    """
    launch.build(source, run, _build_config(config, overrides))


@app.command(cls=ConfigurableCommand)
@takes_options_of(BuildConfig)
def retry(run: OldRun, overrides: Overrides) -> None:
    """Take up the failed objects of a run again, and only those, with the settings of the run.

    The options that say how a model is reached may be given anew, for example --vlm.addresses.
    """
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows.config.build import read_settings

    source, config = read_settings(RunDirectory(run))
    changed = BuildConfig.from_mapping(with_overrides(config.model_dump(mode="json"), overrides), "command line")
    launch.build(source, run, changed, retry_failed=True)


@app.command()
def report(run: OldRun) -> None:
    """Draw the gallery of a run again, as its run.toml has it under report."""
    launch.redraw_gallery(run)


@app.command()
def stats(run: OldRun) -> None:
    """Count and measure a run: its size and properties beside the published figures."""
    from refsav.annotators.bundles.plan import remaining
    from refsav.commands.summary import print_remaining, print_statistics
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows.config.build import read_settings
    from refsav.flows.statistics_task import write_statistics

    directory = RunDirectory(run)
    source, config = read_settings(directory)
    print_statistics(out, write_statistics(directory, config))
    print_remaining(out, remaining(directory, source))
    out.print(f"statistics: {escape(str(directory.stats))}")


@app.command(cls=ConfigurableCommand)
@takes_options_of(BuildConfig)
def estimate(
    source: Source,
    overrides: Overrides,
    profile: Annotated[str, typer.Option(help="Which models: paper, modern, one-gpu, cpu, or a TOML file.")] = "paper",
    like: Annotated[Path | None, typer.Option(help="Run whose measured replies are taken as a measure.")] = None,
    videos: Annotated[int, typer.Option(help="Videos to read; the others are taken to be like them.", min=1)] = 200,
    of_videos: Annotated[int, typer.Option(help="Videos to estimate for; 0: as many as SOURCE holds.", min=0)] = 0,
    gpus: Annotated[int, typer.Option(help="GPUs to spread over; 0: one server of each model.", min=0)] = 0,
    euros: Annotated[float, typer.Option(help="Price of one GPU for an hour; 0 leaves money out.", min=0)] = 0.0,
    config: ConfigFile = None,
) -> None:
    """Say how many requests, tokens and GPU-hours a build will need, before spending them."""
    from refsav.commands.estimate import estimate_build

    settings = _build_config(config, overrides)
    estimate_build(
        source, settings, profile=profile, like=like, videos=videos, of_videos=of_videos, gpus=gpus, euros=euros
    )


@app.command(cls=ConfigurableCommand)
@takes_options_of(SynthConfig)
def synth(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; scenes that it holds are kept.")],
    overrides: Overrides,
) -> None:
    """Make videos of moving shapes in SA-V's format, with their truth beside them."""
    _make_scenes(folder, SynthConfig.from_mapping(with_overrides({}, overrides), "command line"))


@app.command(name="import", cls=ConfigurableCommand)
@takes_options_of(BuildConfig)
def import_(
    annotations: Annotated[Path, typer.Argument(help="A Ref-SAV.json, for example the published one.")],
    source: Annotated[Path, typer.Argument(help="Folder that its paths start from: SA-V's videos.")],
    run: Run,
    overrides: Overrides,
    config: ConfigFile = None,
) -> None:
    """Make a run of an existing Ref-SAV.json: to shard, measure, look at and train on it."""
    launch.import_official(annotations, source, run, _build_config(config, overrides))


app.add_typer(serve_commands)
app.add_typer(model_commands)
app.add_typer(train_commands)
app.add_typer(bench_commands)
app.add_typer(service_commands)
app.add_typer(review_commands)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(f"refsav {__version__}")


def main() -> None:
    """Run the command line; errors of RefSAV become one clear message and exit code 1."""
    settle_memory()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        app()
    except RefSavError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer has caught Ctrl-C and says nothing
            err.print("\nstopped; the same command goes on from here")
        raise


def _build_config(path: Path | None, overrides: Overrides) -> BuildConfig:
    if path:
        return BuildConfig.from_toml(path, overrides)
    return BuildConfig.from_mapping(with_overrides({}, overrides), "command line")


def _make_scenes(folder: Path, config: SynthConfig) -> None:
    from rich.progress import track

    from refsav.datasets.synthetic.write_scenes import write_scenes
    from refsav.plural import plural

    scenes = write_scenes(folder, config)
    for _ in track(scenes, "making scenes", total=config.videos, console=err, disable=not err.is_terminal):
        pass
    out.print(f"scenes: {config.videos} {plural(config.videos, 'video')} in {escape(str(folder))}")
