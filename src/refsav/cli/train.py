"""The commands that train: on a dataset that is there, or through the whole loop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from refsav.cli.options import ConfigurableCommand, takes_options_of
from refsav.model.training_config import TrainConfig

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(add_completion=False)

Overrides: TypeAlias = Mapping[str, Any]


@app.command(cls=ConfigurableCommand)
@takes_options_of(TrainConfig)
def train(
    config: Annotated[Path, typer.Argument(help="TOML file, such as configs/train/pocket.toml; options win over it.")],
    run: Annotated[Path, typer.Argument(help="Run directory: made if new, gone on with if not.")],
    overrides: Overrides,
    layers: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FILE", help="Further TOML file that wins over CONFIG; may be given again."),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone.")] = False,
) -> None:
    """Train Sa2VA on a dataset: checkpoints and metrics in RUN, the trained model in RUN/model.

    Killed, the same command goes on from the last checkpoint. On several devices it is started by `accelerate launch`
    (docs/training.md). Needs the extras model and train.
    """
    from refsav.commands import train as training

    training.train(run, TrainConfig.from_toml(config, overrides, layers=layers or ()), cpu=cpu)


@app.command(name="end-to-end")
def end_to_end(
    source: Annotated[Path, typer.Argument(help="Folder of videos and masklets, in one of SA-V's layouts.")],
    run: Annotated[Path, typer.Argument(help="Run directory: made if new, gone on with if not.")],
    config: Annotated[Path, typer.Option(help="TOML file with all settings, such as configs/demo-full.toml.")],
) -> None:
    """Build Ref-SAV of SOURCE, train Sa2VA on it, benchmark it on held-out videos; RUN/benchmark.json has the figures.

    Needs the extra train.
    """
    from refsav.commands import run_flows as launch
    from refsav.flows.config.end_to_end import EndToEndConfig

    launch.end_to_end(source, run, EndToEndConfig.from_toml(config))
