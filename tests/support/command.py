"""The installed command `refsav` in its own process group, as a terminal runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def start(
    *arguments: str | Path, home: Path, folder: Path | None = None, **environment: str
) -> "subprocess.Popen[str]":
    """Start it in a folder; `home` is Prefect's home, so that tests do not share a database."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("refsav"), *map(str, arguments)],
        env={**os.environ, "PREFECT_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )


def refsav(
    *arguments: str | Path, home: Path, folder: Path | None = None, timeout_s: float = 280.0, **environment: str
) -> Finished:
    """Run it and wait until it ends."""
    process = start(*arguments, home=home, folder=folder, **environment)
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Finished(process.returncode, out, err)
