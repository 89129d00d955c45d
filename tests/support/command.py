"""The installed command `refsav` in a process group of its own, as a user's terminal runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left in the terminal."""

    code: int
    out: str
    err: str


def start(
    *arguments: str | Path, home: Path, folder: Path | None = None, **environment: str
) -> "subprocess.Popen[str]":
    """Start it in a folder; `home` is Prefect's, so that a test does not meet what others have left there."""
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
    """Run it to its end."""
    process = start(*arguments, home=home, folder=folder, **environment)
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Finished(process.returncode, out, err)
