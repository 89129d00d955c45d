"""Configuration of a caption engine: which one answers, and how its servers are reached."""

import os
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from refsav.annotators.engines.registry import ENGINES
from refsav.config import Config
from refsav.errors import ConfigError

if TYPE_CHECKING:
    EngineKind = str
else:  # type checkers accept only literals that are written out
    EngineKind = Literal[tuple(ENGINES)]


class EngineConfig(Config):
    """One engine of the registry; all keys but `kind` and `model` are for engines with servers."""

    kind: EngineKind = Field(
        next(iter(ENGINES)),
        description=" ".join(f"{kind}: {entry.summary}" for kind, entry in ENGINES.items()),
    )
    model: str = Field("", description="Model name as the servers list it; empty: the only one that they serve.")
    addresses: tuple[str, ...] = Field(
        ("http://127.0.0.1:8000/v1",), min_length=1, description="Servers of the model; repeat the option for several."
    )
    in_flight_per_server: int = Field(
        32, ge=1, description="Requests in flight at one server, over all bundles of a process."
    )
    gpus_per_server: float = Field(
        0.0, ge=0, description="GPUs of one server, a fraction where servers share one; for the GPU-hours."
    )
    timeout_s: float = Field(120.0, gt=0, description="Seconds to wait for a reply before the request is sent again.")
    tries: int = Field(6, ge=1, description="How often a request is sent before it fails.")
    backoff_s: float = Field(
        0.5, ge=0, description="Longest pause before the second try, chosen at random; it doubles with every try."
    )
    backoff_max_s: float = Field(
        60.0, ge=0, description="Upper limit of the pause between two tries, even if a server requests more."
    )
    give_up_after: int = Field(
        16,
        ge=1,
        description="A build stops after so many failed requests in a row.",
    )
    api_key_variable: str = Field(
        "REFSAV_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the servers' API key; the key itself is stored nowhere.",
    )

    @property
    def gpus_per_request(self) -> float:
        """GPUs of a server over the requests that it works on at a time; 0 if unknown, and for the embedded engine."""
        return 0.0 if self.kind == "attributes" else self.gpus_per_server / self.in_flight_per_server

    def api_key(self) -> str:
        """The key from the environment, without the final newline of a mounted secret; empty if it is not set.

        Raises:
            ConfigError: If it cannot be sent in an HTTP header.
        """
        key = os.environ.get(self.api_key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"the environment variable {self.api_key_variable} does not hold an API key",
                fix="set it to the key alone: ASCII letters, digits and signs on one line",
            )
        return key

    @field_validator("addresses")
    @classmethod
    def _are_base_urls(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("give each address as http://HOST:PORT/v1")
            if "@" in parts.netloc or parts.query:
                raise ValueError("an address holds no key or password: put the key into the api_key_variable")
        return tuple(address.rstrip("/") for address in addresses)
