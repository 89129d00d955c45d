"""The command that trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from refsav.model.train_config import TrainConfig
from refsav.options import ConfigurableCommand, takes_options_of

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(add_completion=False)

Overrides: TypeAlias = Mapping[str, Any]


@app.command(cls=ConfigurableCommand)
@takes_options_of(TrainConfig)
def train(
    config: Annotated[Path, typer.Argument(help="TOML file, such as configs/train/pocket.toml; options win over it.")],
    run: Annotated[Path, typer.Argument(help="Run directory: made if new, gone on with if not.")],
    overrides: Overrides,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone.")] = False,
) -> None:
    """Train Sa2VA on a dataset: checkpoints and metrics in RUN, the trained model in RUN/model.

    Killed, the same command goes on from the last checkpoint. On several devices it is started by `accelerate launch`
    (docs/training.md). Needs the extra train.
    """
    from refsav import training

    training.train(run, TrainConfig.from_toml(config, overrides), cpu=cpu)
