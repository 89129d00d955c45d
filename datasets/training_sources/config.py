"""The configuration of training data: sources, how often each is gone through, and what may be wrong with them."""

from typing import Annotated

from pydantic import Field

from refsav.config import Config
from refsav.datasets.training_examples.mixture import Mixture
from refsav.datasets.training_sources.grounded_captions import GcgConfig
from refsav.datasets.training_sources.image_qa import ImageQaConfig
from refsav.datasets.training_sources.own_images import OwnImagesConfig
from refsav.datasets.training_sources.ref_sav import RefSavConfig
from refsav.datasets.training_sources.referring_images import ReferringImagesConfig
from refsav.datasets.training_sources.referring_videos import ReferringVideosConfig
from refsav.datasets.training_sources.video_qa import VideoQaConfig
from refsav.datasets.training_sources.visual_prompts import VisualPromptsConfig
from refsav.errors import ConfigError

AnySourceConfig = Annotated[
    RefSavConfig
    | ReferringImagesConfig
    | ReferringVideosConfig
    | GcgConfig
    | ImageQaConfig
    | VideoQaConfig
    | VisualPromptsConfig
    | OwnImagesConfig,
    Field(discriminator="kind"),
]


class DataConfig(Config):
    """What is trained on. Paths are relative to the working directory."""

    sources: tuple[AnySourceConfig, ...] = Field((), description="Tables [[data.sources]], one a dataset.")
    without: tuple[str, ...] = Field((), description="Names of sources to leave out, to see what they are good for.")
    seed: int = Field(0, ge=0, description="Decides the order, and all that is drawn at random.")
    bad_share: float = Field(
        0.01, ge=0, le=1, description="Share of examples that may be unusable before training ends, fraction 0-1."
    )


def open_mixture(config: DataConfig) -> Mixture:
    """Open all sources.

    Raises:
        ConfigError: If there are none, or they hold nothing.
        RecordError: If a folder is not as its dataset is published.
    """
    known = [source.name or source.kind for source in config.sources]
    for name in config.without:
        if name not in known:
            told = ", ".join(known) or "none"
            raise ConfigError(f"data.without: there is no source {name!r}\n  fix: name one of {told}")
    kept = [source for source, name in zip(config.sources, known, strict=True) if name not in config.without]
    return Mixture([source.open() for source in kept], config.seed)
