"""The commands that run something in the background: RefSAV as a service on one machine, a model on a vLLM server."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.markup import escape

from refsav.cli.app import err, out
from refsav.cli.arguments import Flag, Port, WholeNumber

Folder = Annotated[Path, Parameter(help="Folder for its state, its logs and Prefect's database.")]
FOLDER = Path("runs/service")


def up(
    *,
    deployments: Annotated[Path, Parameter(help="What to deploy; its paths start from the current folder.")] = Path(
        "prefect.yaml"
    ),
    port: Annotated[
        WholeNumber, Parameter(help="Port of Prefect's web page on 127.0.0.1.", validator=Number(gte=1, lte=65535))
    ] = 4200,
    folder: Folder = FOLDER,
) -> None:
    """Start a Prefect server, a worker and the deployments on this machine; processes that already run are kept.

    Deployments whose file has changed are deployed again.
    """
    from refsav.service.directory import ServiceDirectory
    from refsav.service.service import start

    service = start(ServiceDirectory(folder), deployments, port, report=lambda line: err.print(line, style="dim"))
    out.print(f"Prefect: {service.address}   logs: {escape(str(folder))}")
    out.print(
        "\nNext: your videos in data/videos are captioned at the next full hour, or right now with:"
        f"\n  [bold]PREFECT_API_URL={service.api} prefect deployment run update-ref-sav/build-ref-sav[/]"
        "\n  [bold]refsav down[/]   stops the service; finished work is kept (docs/operations.md)"
    )


def down(*, folder: Folder = FOLDER) -> None:
    """Stop what `refsav up` has started on this machine, and nothing else."""
    from refsav.service.directory import ServiceDirectory
    from refsav.service.service import stop

    ended = stop(ServiceDirectory(folder))
    out.print(f"ended: {', '.join(ended)}" if ended else "nothing runs")


def serve(
    role: Annotated[Literal["vlm", "judge"], Parameter(name="MODEL", help="Which of the two models of a build.")],
    /,
    *,
    profile: Annotated[str, Parameter(help="paper, modern, one-gpu, cpu, or a TOML file.")] = "one-gpu",
    python: Annotated[str, Parameter(help="Python of the environment of vLLM; empty: the command vllm.")] = "",
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[Port, Parameter(help="Port to listen on; 0: the port of the profile.")] = 0,
    print_only: Annotated[
        Flag, Parameter(name="--print", help="Print the command, to run it on another machine.")
    ] = False,
) -> None:
    """Start a vLLM server for the VLM or the judge, wait until it is ready, and keep it running until Ctrl-C."""
    from refsav.annotators.engines.config import EngineConfig
    from refsav.annotators.serving import serve as serving
    from refsav.annotators.serving.profile import load_profile

    served = load_profile(profile).server(role)
    if print_only:
        if host in ("127.0.0.1", "localhost", "::1"):
            err.print(f"# only that machine itself reaches {escape(host)}; for others: {serving.FOR_OTHERS}")
        out.print(escape(serving.printed_command(served, python=python, host=host, port=port)), soft_wrap=True)
        return
    key = EngineConfig().api_key()
    serving.serve(role, served, err, python=python, host=host, port=port, api_key=key)
