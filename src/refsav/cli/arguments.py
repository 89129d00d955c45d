"""Arguments and options that several commands have."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token
from cyclopts.validators import Number


def whole_number(_: type, tokens: Sequence[Token]) -> int:
    """Read an integer; the library would round a fraction."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a whole number") from None


Overrides: TypeAlias = Mapping[str, Any]
"""Keys of a configuration that the command line sets, dotted: {"views.frames": 12}."""

WholeNumber = Annotated[int, Parameter(converter=whole_number)]
Count = Annotated[WholeNumber, Parameter(validator=Number(gte=0))]
PositiveCount = Annotated[WholeNumber, Parameter(validator=Number(gte=1))]
Port = Annotated[WholeNumber, Parameter(validator=Number(gte=0, lte=65535))]
Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Amount = Annotated[float, Parameter(validator=Number(gte=0))]

Flag = Annotated[bool, Parameter(show_default=False)]

Source = Annotated[Path, Parameter(help="Folder of videos and masklets, in one of SA-V's layouts.")]
Run = Annotated[Path, Parameter(help="Run directory; created if missing, resumed if it exists.")]
BuiltRun = Annotated[Path, Parameter(help="Run directory of an earlier build.")]
ConfigFile = Annotated[Path | None, Parameter(help="TOML file; options on the command line override it.")]

Checkpoint = Annotated[Path, Parameter(help="Directory of a Sa2VA checkpoint, official or our own.")]
Device = Annotated[str | None, Parameter(help="cuda, cuda:1 or cpu. Default: a GPU if there is one.")]
Dtype = Annotated[
    str | None, Parameter(help="float32, bfloat16 or stored. Default: bfloat16 on a GPU, float32 on a CPU.")
]
OriginalSam2 = Annotated[Path | None, Parameter(help="SAM-2's original checkpoint, for consistent propagation.")]
AllowPickle = Annotated[Flag, Parameter(help="Allow a .pt file as SAM-2's checkpoint; it can run code, so trust it.")]
