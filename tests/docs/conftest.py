"""The run that the documentation shows: what `refsav demo` leaves in runs/demo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds runs/demo and runs/demo-scenes, as a reader has them after `make demo`."""
    folder = tmp_path_factory.mktemp("documentation")
    program = "from refsav.cli.main import main; main()"
    command = [sys.executable, "-c", program, "demo", "runs/demo"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return folder
