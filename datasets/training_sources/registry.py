"""The kinds of training source that a configuration can name. A new reader is one module and one line here."""

import importlib
from collections.abc import Iterator, Mapping

from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig

SOURCES: Mapping[str, str] = {
    "ref-sav": "refsav.datasets.training_sources.ref_sav:RefSavConfig",
    "referring-images": "refsav.datasets.training_sources.referring_images:ReferringImagesConfig",
    "referring-videos": "refsav.datasets.training_sources.referring_videos:ReferringVideosConfig",
    "gcg": "refsav.datasets.training_sources.grounded_captions:GcgConfig",
    "image-qa": "refsav.datasets.training_sources.image_qa:ImageQaConfig",
    "video-qa": "refsav.datasets.training_sources.video_qa:VideoQaConfig",
    "visual-prompts": "refsav.datasets.training_sources.visual_prompts:VisualPromptsConfig",
    "own-images": "refsav.datasets.training_sources.own_images:OwnImagesConfig",
}
"""MODULE:CLASS of a source's configuration, by the value of its key `kind`."""


def source_configs() -> Iterator[type[TrainingSourceConfig]]:
    """Import the configuration class of every kind, in the order of the registry."""
    for path in SOURCES.values():
        module, _, name = path.partition(":")
        config: type[TrainingSourceConfig] = getattr(importlib.import_module(module), name)
        yield config
