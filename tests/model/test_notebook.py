"""docs/pocket.ipynb does what it shows: its cells, run one after the other with few steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_notebooks_cells_run_and_leave_a_checkpoint(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "docs/pocket.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    finished = subprocess.run(
        [sys.executable, "-c", "\n\n".join(cells)],
        cwd=tmp_path,
        env={**os.environ, "POCKET_STEPS": "3", "POCKET_SCENES": "12"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stderr
    assert "step    3: text" in finished.stdout
    assert (tmp_path / "runs/pocket-sa2va/model.safetensors").is_file()


def test_the_notebook_holds_what_its_cells_have_shown() -> None:
    notebook = json.loads((ROOT / "docs/pocket.ipynb").read_text())
    shown = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) or "image/jpeg" in output.get("data", {}) for output in shown) >= 3
    assert not any(output["output_type"] == "error" for output in shown)
