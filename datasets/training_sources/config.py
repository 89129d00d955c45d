"""The configuration of training data: its sources, how often each is repeated, and how many examples may be bad."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_examples.mixture import Mixture
from refsav.datasets.training_sources.registry import source_configs
from refsav.errors import ConfigError

if TYPE_CHECKING:
    from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig as AnySourceConfig
else:  # type checkers accept only unions that are written out
    AnySourceConfig = Annotated[reduce(or_, source_configs()), Field(discriminator="kind")]


class DataConfig(Config):
    """The data of a training. Paths are relative to the working directory."""

    sources: tuple[AnySourceConfig, ...] = Field((), description="Tables [[data.sources]], one per dataset.")
    without: tuple[str, ...] = Field((), description="Names of sources to leave out, to measure what they contribute.")
    seed: int = Field(0, ge=0, description="Seed of the order and of everything that is drawn at random.")
    bad_share: float = Field(
        0.01, ge=0, le=1, description="Share of examples that may be unusable before training ends, fraction 0-1."
    )


def open_mixture(config: DataConfig) -> Mixture:
    """Open all sources but those in `without`, and mix them.

    Raises:
        ConfigError: If `without` names an unknown source, or the sources hold no examples.
        RecordError: If a file is missing or is not as its dataset is published.
    """
    names = [source.name or source.kind for source in config.sources]
    for name in config.without:
        if name not in names:
            fix = f"name one of {', '.join(names) or 'none'}"
            raise ConfigError(f"data.without: there is no source {name!r}", fix=fix)
    kept = [source for source, name in zip(config.sources, names, strict=True) if name not in config.without]
    return Mixture([source.open() for source in kept], config.seed)
