"""The command that serves a model: starts its server, prints how a build uses it, and runs until the user stops it."""

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rich.console import Console

from refsav.annotators.serving.profile import ServedModel, ServerRole, command, environment
from refsav.annotators.serving.server_process import running

FOR_OTHERS = "--host 0.0.0.0, in a private network or with VLLM_API_KEY set there and REFSAV_API_KEY, the same, here"
"""How to make a server accessible to other machines."""


def printed_command(
    served: ServedModel, *, python: str = "", host: str = "127.0.0.1", port: int = 0, more: Sequence[str] = ()
) -> str:
    """Return the command as one line for a shell, environment variables included, to run it on another machine."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment(served).items())]
    return " ".join([*variables, shlex.join(command(served, python=python, host=host, port=port, more=more))])


def serve(
    role: ServerRole,
    served: ServedModel,
    console: Console,
    *,
    python: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    ready_within_s: float = 3600.0,
    more: Sequence[str] = (),
    api_key: str = "",
) -> None:
    """Serve a model until Ctrl-C or SIGTERM, which stop the server.

    Args:
        role: What the server is for.
        served: The model and its flags.
        console: Where to print.
        python: Interpreter of vLLM's environment; empty for the command `vllm`.
        host: Address to listen on.
        port: Port to listen on; 0 for the profile's.
        ready_within_s: Time limit for the start, in seconds.
        more: Further arguments for vLLM.
        api_key: The key that requests need; empty for none.

    Raises:
        ConfigError: If the server cannot be started.
        ServerError: If it ends, or is not ready in time.
    """
    started = running(
        served,
        console,
        python=python,
        host=host,
        port=port,
        ready_within_s=ready_within_s,
        more=more,
        api_key=api_key,
    )
    with _until_stopped(), started as server:
        console.print(f"{server.address} serves {served.served_model_name}; log: {server.log}", soft_wrap=True)
        console.print("use it:  refsav build SOURCE RUN", config_options(role, served, server.address), soft_wrap=True)
        console.print("Ctrl-C stops it")
        status = server.process.wait()
        raise server.error(f"the server ended with status {status}")


def config_options(role: ServerRole, served: ServedModel, address: str) -> str:
    """Return the options with which a build uses this server."""
    options = {"kind": "vllm", "addresses": address, "model": served.served_model_name}
    return " ".join(f"--{role}.{key} {value}" for key, value in options.items())


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM."""


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Leave the block at Ctrl-C and SIGTERM; only the first signal counts."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise _Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
