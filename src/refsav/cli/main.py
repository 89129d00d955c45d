"""The command line: `refsav build SOURCE RUN` and the other commands, their exit codes, errors without stack traces."""

import signal
import sys

from cyclopts import Group
from rich.markup import escape

from refsav.cli.app import err, lazily, new_app, out
from refsav.errors import RefSavError
from refsav.processes.cancellation import INTERRUPTED
from refsav.processes.memory import settle_memory

USAGE_ERROR = 2
"""Exit code of a wrong command line."""

# Nothing here imports the module of a command: --help answers at once.

BUILD, REVIEW, MODEL, TRAIN, SERVICE, OTHER = (
    Group(heading, sort_key=number)
    for number, heading in enumerate(("Build", "Review", "Model", "Train and measure", "Service", "Other"))
)

app = new_app(
    "refsav",
    "Build Ref-SAV from videos with object masks, train Sa2VA on it and benchmark it.",
    epilogue="Start with: refsav demo",
)
lazily(app, BUILD, "build", "demo", "build", "retry", "estimate", "synth", "import")
lazily(app, BUILD, "runs", "stats", "report")
lazily(app, MODEL, "model", "predict", "ui", "create")
lazily(app, TRAIN, "train", "train", "end-to-end", "demo-full")
lazily(app, TRAIN, "bench", "bench", "bench-report", "bench-speed")
lazily(app, SERVICE, "service", "up", "down", "serve")

review = new_app(
    "review",
    "Have people check the validation set, in Label Studio (export, push, pull) or in a sheet (export, import).",
    group=REVIEW,
)
lazily(review, Group("Commands", sort_key=0), "review", "export", "push", "pull", "import")
app.command(review)


@app.command(group=OTHER)
def version() -> None:
    """Print the version."""
    out.print(app.version)


def main() -> None:
    """Run the command line; errors of RefSAV become one clear message and exit code 1."""
    settle_memory()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that child processes are ended
    try:
        _refuse_no_command()
        app(sys.argv[1:])
    except RefSavError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("\nstopped; run the same command again to resume")
        sys.exit(INTERRUPTED)


def _refuse_no_command() -> None:
    """Print the help instead and end with the exit code of a wrong command line, as for a missing argument."""
    _, apps, rest = app.parse_commands(sys.argv[1:])
    if not rest and apps[-1].default_command is None:
        apps[-1].help_print()
        sys.exit(USAGE_ERROR)
