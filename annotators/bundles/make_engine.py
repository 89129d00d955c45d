"""From a configuration to an engine that answers."""

from refsav.annotators.attributes.engine import AttributesEngine
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import Engine


def make_engine(config: EngineConfig) -> Engine:
    """Make the engine that a configuration names; no server is asked yet. Raises ConfigError for an unusable key."""
    if config.kind == "attributes":
        return AttributesEngine()
    from refsav.annotators.engines.vllm_engine import VllmEngine  # its client takes a second to load

    return VllmEngine(config)


async def settled(config: EngineConfig) -> EngineConfig:
    """Make sure that an engine can work, and fill in the name of its model.

    Raises:
        ServersDownError: If no server answers.
        ConfigError: If the model is not served there.
    """
    engine = make_engine(config)
    try:
        return config.model_copy(update={"model": await engine.check()})
    finally:
        await engine.close()
