"""What is missing is reported with the line that installs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from refsav.extras import MissingExtraError, require

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
sys.argv = ["refsav", "create", *sys.argv[1:]]
from refsav.cli.main import main
main()
"""


def test_what_is_there_is_not_imported_and_what_is_missing_is_named() -> None:
    require("model", "json", "pathlib")
    with pytest.raises(MissingExtraError) as missing:
        require("ui", "json", "no_such_package", "nor_this")
    assert "no_such_package, nor_this: not installed; this command needs the extra 'ui'" in str(missing.value)
    assert "fix: pip install 'refsav[ui]'" in str(missing.value)


def test_a_command_without_torch_says_what_to_install(tmp_path: Path) -> None:
    sizes = Path(__file__).parents[2] / "configs/models/pocket.toml"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, sizes, tmp_path / "out"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "error: torch: not installed" in done.stderr and "pip install 'refsav[model]'" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()
