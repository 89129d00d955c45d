"""From a configuration to an engine that answers."""

from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import Engine
from refsav.annotators.engines.registry import ENGINES


def make_engine(config: EngineConfig) -> Engine:
    """Make the engine that a configuration names, without contacting a server.

    Raises:
        ConfigError: If the API key cannot be used.
    """
    return ENGINES[config.kind].load()(config)


async def resolve_model(config: EngineConfig) -> EngineConfig:
    """Check that an engine can work, and return its configuration with the model's name filled in.

    Raises:
        ServersDownError: If no server answers.
        ConfigError: If the model is not served there.
    """
    engine = make_engine(config)
    try:
        return config.model_copy(update={"model": await engine.check()})
    finally:
        await engine.close()
