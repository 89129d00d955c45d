"""What several tests of annotators start."""

import os
import sys
from pathlib import Path

import pytest

from tests.datasets.conftest import make_expression, make_track
from tests.support.stand_in_server import STAND_IN

__all__ = ["make_expression", "make_track", "stand_in"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `vllm` on PATH that loads no model; gives the file that its process ids go to."""
    script = tmp_path / "bin/vllm"
    script.parent.mkdir()
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    return tmp_path / "pids"
