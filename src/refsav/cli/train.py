"""The commands that train: on an existing dataset, or through the complete loop."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from refsav.cli.arguments import Flag, Overrides, Run, Source
from refsav.cli.options import takes_options_of
from refsav.model.training_config import TrainConfig


@takes_options_of(TrainConfig)
def train(
    config: Annotated[Path, Parameter(help="TOML file, such as configs/train/pocket.toml; options override it.")],
    run: Run,
    /,
    *,
    overrides: Overrides,
    layers: Annotated[
        list[Path] | None,
        Parameter(name="--with", help="Further TOML file that overrides CONFIG; may be repeated."),
    ] = None,
    cpu: Annotated[Flag, Parameter(help="Use no GPU.")] = False,
) -> None:
    """Train Sa2VA on a dataset: checkpoints and metrics in RUN, the trained model in RUN/model.

    After an interruption, run the same command again: it resumes from the last checkpoint. For several devices, start
    it with `accelerate launch` (docs/training.md). Needs the extras model and train.
    """
    from refsav.commands import train as command

    command.train(run, TrainConfig.from_toml(config, overrides, layers=layers or ()), cpu=cpu)


def end_to_end(
    source: Source,
    run: Run,
    /,
    *,
    config: Annotated[Path, Parameter(help="TOML file with all settings, such as configs/demo-full.toml.")],
) -> None:
    """Build Ref-SAV from SOURCE, train Sa2VA on it, benchmark it on held-out videos (figures in RUN/benchmark.json).

    Needs the extra train.
    """
    from refsav.commands import run_flows
    from refsav.flows.config.end_to_end import EndToEndConfig

    run_flows.end_to_end(source, run, EndToEndConfig.from_toml(config))


def demo_full(
    run: Annotated[Path, Parameter(help="Run directory.")] = Path("runs/demo-full"),
    /,
    *,
    config: Annotated[Path, Parameter(help="TOML file with all settings.")] = Path("configs/demo-full.toml"),
) -> None:
    """Build a dataset from synthetic scenes, train a pocket Sa2VA on it, benchmark it: 15 minutes on a CPU.

    After an interruption, run the same command again to resume. Needs the extra train.
    """
    from refsav.cli.build import make_scenes
    from refsav.commands import run_flows
    from refsav.flows.config.end_to_end import EndToEndConfig

    settings = EndToEndConfig.from_toml(config)
    scenes = run.parent / f"{run.name}-scenes"
    make_scenes(scenes, settings.scenes)
    run_flows.end_to_end(scenes, run, settings)
