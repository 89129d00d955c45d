"""Training examples, as `refsav train` reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from refsav.datasets.training_examples.mixture import Mixture
from refsav.datasets.training_sources.config import DataConfig, open_mixture


def open_training_data(sources: Sequence[Mapping[str, Any]], *, seed: int = 0) -> Mixture:
    """Open sources of training data, mixed and shuffled.

    Args:
        sources: Tables with the keys of `[[data.sources]]` in a training configuration, for example
            `{"kind": "ref-sav", "path": "runs/demo"}`.
        seed: Decides the order and everything that is drawn at random.

    Raises:
        ConfigError: If a key does not exist or the sources hold no examples.
        RecordError: If a folder is not as its dataset is published.
    """
    return open_mixture(DataConfig.from_mapping({"sources": [dict(one) for one in sources], "seed": seed}, "sources"))
