"""`refsav serve`: the models of a build, on vLLM servers."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from refsav.commands.run_flows import err, out

app = typer.Typer()


class Part(StrEnum):
    """The two models of a build."""

    vlm = "vlm"
    judge = "judge"


@app.command()
def serve(
    part: Annotated[Part, typer.Argument(help="Which of the two models of a build.")],
    profile: Annotated[str, typer.Option(help="paper, modern, one-gpu, cpu, or a TOML file.")] = "one-gpu",
    python: Annotated[str, typer.Option(help="Interpreter of vLLM's environment; empty: the command vllm.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes the profile's.", min=0, max=65535)] = 0,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command, for another machine.")] = False,
) -> None:
    """Start a vLLM server for the VLM or the judge, wait until it is well, and keep it until Ctrl-C."""
    from refsav.annotators.engines.config import EngineConfig
    from refsav.annotators.serving import serve as serving
    from refsav.annotators.serving.profile import load_profile

    served = load_profile(profile).server(part.value)
    if print_only:
        if host in ("127.0.0.1", "localhost", "::1"):
            err.print(f"# on {escape(host)} only that machine itself reaches it; for others: {serving.FOR_OTHERS}")
        out.print(escape(serving.printed_command(served, python=python, host=host, port=port)), soft_wrap=True)
        return
    key = EngineConfig().api_key()
    serving.serve(part.value, served, err, python=python, host=host, port=port, api_key=key)
