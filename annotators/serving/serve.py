"""The command that serves a model: start its server, say how a build uses it, and keep it until the user ends it."""

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rich.console import Console

from refsav.annotators.serving.profile import Part, ServedModel, command, environment
from refsav.annotators.serving.server_process import ServerError, running

FOR_OTHERS = "--host 0.0.0.0, in a private network or with VLLM_API_KEY set there and REFSAV_API_KEY, the same, here"
"""How a server is opened to other machines, and what that needs."""


def printed_command(
    served: ServedModel, *, python: str = "", host: str = "127.0.0.1", port: int = 0, more: Sequence[str] = ()
) -> str:
    """Give the command as one line for a shell, environment variables included, to run it on another machine."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment(served).items())]
    return " ".join([*variables, shlex.join(command(served, python=python, host=host, port=port, more=more))])


def serve(
    part: Part,
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
    """Serve a model until Ctrl-C or SIGTERM; both end the server and return. Prints to `console` only.

    Raises:
        ConfigError: If it cannot be started at all.
        ServerError: If it dies, or is not ready in time.
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
        console.print("use it:  refsav build SOURCE RUN", config_options(part, served, server.address), soft_wrap=True)
        console.print("Ctrl-C ends it")
        status = server.process.wait()
        raise ServerError(f"the server ended with status {status}\n{server.quoted_log()}")


def config_options(part: Part, served: ServedModel, address: str) -> str:
    """Give the options with which a build uses this server."""
    options = {"kind": "vllm", "addresses": address, "model": served.served_model_name}
    return " ".join(f"--{part}.{key} {value}" for key, value in options.items())


class _Stopped(BaseException):
    """Someone wants this command to end."""


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM leave the block in an orderly way; only the first counts."""

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
