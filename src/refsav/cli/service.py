"""The commands that run RefSAV as a service on one machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(add_completion=False)
out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

Folder = Annotated[Path, typer.Option(help="Where its state, its logs and Prefect's database are kept.")]
FOLDER = Path("runs/service")


@app.command()
def up(
    deployments: Annotated[Path, typer.Option(help="What is deployed; its paths start here.")] = Path("prefect.yaml"),
    port: Annotated[int, typer.Option(help="Port of Prefect's page on 127.0.0.1.", min=1, max=65535)] = 4200,
    folder: Folder = FOLDER,
) -> None:
    """Start a Prefect server, a worker and the deployments on this machine; what runs already is left alone.

    Deployments that were edited since are deployed again.
    """
    from refsav.service.directory import ServiceDirectory
    from refsav.service.service import start

    service = start(ServiceDirectory(folder), deployments, port, report=lambda line: err.print(line, style="dim"))
    out.print(f"Prefect: {service.address}   logs: {escape(str(folder))}")
    out.print(
        "\nNext: videos of your own in data/videos are described at the next full hour, or at once:"
        f"\n  [bold]PREFECT_API_URL={service.api} prefect deployment run update-ref-sav/build-ref-sav[/]"
        "\n  [bold]refsav down[/]   ends all of it; what is built stays (docs/operations.md)"
    )


@app.command()
def down(folder: Folder = FOLDER) -> None:
    """End what `refsav up` has started on this machine, and nothing else."""
    from refsav.service.directory import ServiceDirectory
    from refsav.service.service import stop

    ended = stop(ServiceDirectory(folder))
    out.print(f"ended: {', '.join(ended)}" if ended else "nothing runs")
