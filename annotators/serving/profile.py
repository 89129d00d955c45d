"""Profiles: which models are served, with which flags, and their assumed speed."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from refsav.config import Config
from refsav.errors import ConfigError

SHIPPED = Path(__file__).parent / "profiles"

ServerRole = Literal["vlm", "judge"]
"""The two servers of a build."""


class Figures(Config):
    """Assumed speed of one device, for estimates before a build; the comments of the profiles name the sources."""

    device: str = Field(description='Name of the device, for example "H100".')
    prompt_tokens_per_second: float = Field(gt=0, description="Tokens read, for each device, in full batches.")
    reply_tokens_per_second: float = Field(gt=0, description="Tokens written, for each device, in full batches.")
    pixels_per_token: float = Field(784.0, gt=0, description="Pixels of an image that make one token.")
    min_tokens_per_image: int = Field(0, ge=0, description="No image makes fewer tokens.")
    max_tokens_per_image: int = Field(0, ge=0, description="No image makes more tokens; 0 for a model without images.")

    def image_tokens(self, height: int, width: int) -> int:
        """Tokens that an image of this size in pixels makes."""
        tokens = math.ceil(height * width / self.pixels_per_token)
        return min(max(tokens, self.min_tokens_per_image), self.max_tokens_per_image)

    def device_seconds(self, prompt_tokens: float, reply_tokens: float) -> float:
        """Seconds of one device that so many tokens cost."""
        return prompt_tokens / self.prompt_tokens_per_second + reply_tokens / self.reply_tokens_per_second


class ServedModel(Config):
    """One vLLM server."""

    model: str = Field(description="Model on the hub, or a folder.")
    made_by: str = Field("", description="For a folder: the command that makes it. Empty for a model on the hub.")
    served_model_name: str = Field(description="Name of the model in requests.")
    port: int = Field(ge=1, le=65535, description="Port it listens on.")
    tensor_parallel: int = Field(1, ge=1, description="GPUs of one server.")
    max_model_len: int = Field(ge=512, description="Tokens of prompt and reply together, at most.")
    images: int = Field(0, ge=0, description="Images in one request, at most; 0 for a model without images.")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field("auto", description="Type of weights in memory.")
    gpu_memory_utilization: float = Field(
        0.0, ge=0, le=1, description="Share of a GPU's memory it may take; 0 leaves it to vLLM."
    )
    arguments: tuple[str, ...] = Field((), description="More arguments for vLLM.")
    environment: dict[str, str] = Field({}, description="Environment variables for vLLM.")
    figures: Figures


class ServeProfile(Config):
    """The two servers of a build."""

    vlm: ServedModel
    judge: ServedModel

    def server(self, role: ServerRole) -> ServedModel:
        """The server of a role."""
        return self.vlm if role == "vlm" else self.judge


def load_profile(name: str) -> ServeProfile:
    """Read a shipped profile by its name, or a custom profile by its path.

    Raises:
        ConfigError: If it does not exist, or a key is not valid.
    """
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}
    if name not in shipped and not name.endswith(".toml"):
        fix = f"choose {', '.join(shipped)}, or give the path of a TOML file"
        raise ConfigError(f"there is no profile {name!r}", fix=fix)
    return ServeProfile.from_toml(shipped.get(name, Path(name)))


def command(
    served: ServedModel, *, python: str = "", host: str = "127.0.0.1", port: int = 0, more: Sequence[str] = ()
) -> list[str]:
    """Return the command line of a server.

    Args:
        served: What is served.
        python: Interpreter of vLLM's environment; empty for the command `vllm`, which vLLM's CPU build lacks.
        host: Address to listen on.
        port: Port to listen on; 0 for the profile's.
        more: Further arguments for vLLM, after the profile's.
    """
    # -P keeps the working directory off the module path: its folders must not stand in for vLLM's libraries.
    start = [python, "-P", "-m", "vllm.entrypoints.openai.api_server", "--model"] if python else ["vllm", "serve"]
    line = [*start, served.model, "--served-model-name", served.served_model_name]
    line += ["--host", host, "--port", str(port or served.port)]
    line += ["--max-model-len", str(served.max_model_len), "--dtype", served.dtype]
    if served.tensor_parallel > 1:
        line += ["--tensor-parallel-size", str(served.tensor_parallel)]
    if served.gpu_memory_utilization:
        line += ["--gpu-memory-utilization", str(served.gpu_memory_utilization)]
    if served.images:
        line += ["--limit-mm-per-prompt", json.dumps({"image": served.images, "video": 0})]
    return [*line, *served.arguments, *more]


def environment(served: ServedModel) -> Mapping[str, str]:
    """Environment variables of a server, in addition to the existing ones."""
    return {"VLLM_NO_USAGE_STATS": "1", **served.environment}


def base_url(served: ServedModel, *, host: str = "127.0.0.1", port: int = 0) -> str:
    """Address for requests, for the key `addresses` of an engine."""
    name = reachable(host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port or served.port}/v1"


def reachable(host: str) -> str:
    """The host name with which a client on this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared with, not listened on
