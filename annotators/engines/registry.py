"""The caption engines that a configuration can name. A new engine is one module and one line here."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refsav.annotators.engines.engine import Engine


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """Where the class of an engine is, and what it is."""

    path: str
    """MODULE:CLASS. A string, so that an engine's libraries are loaded only if the engine is used."""
    summary: str
    """For `--help` and the reference of the configuration."""

    def load(self) -> Callable[..., Engine]:
        """Import the class; its one argument is an EngineConfig."""
        module, _, name = self.path.partition(":")
        factory: Callable[..., Engine] = getattr(importlib.import_module(module), name)
        return factory


ENGINES: Mapping[str, EngineEntry] = {
    "attributes": EngineEntry(
        "refsav.annotators.attributes.engine:AttributesEngine", "embedded, classical vision, no model."
    ),
    "vllm": EngineEntry("refsav.annotators.engines.vllm_engine:VllmEngine", "servers with OpenAI's protocol."),
}
"""Entries by the value of `kind`; the first is the default."""
