"""What the official code computed at small sizes, beside the project."""

import os
from pathlib import Path

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when Hugging Face's libraries are imported
torch.set_num_threads(1)  # what these tests compute is too small to share out


@pytest.fixture(scope="session")
def parity_data() -> Path:
    """A folder for each family, of Sa2VA's official code: $REFSAV_PARITY_DATA, or ../shared/data/parity beside us."""
    default = Path(__file__).parents[2] / "../shared/data/parity"
    folder = Path(os.environ.get("REFSAV_PARITY_DATA", default)).resolve()
    if not folder.is_dir():
        message = f"{folder} is missing: set REFSAV_PARITY_DATA to the official code's outputs (CONTRIBUTING.md)"
        if os.environ.get("REFSAV_REAL_VIDEOS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return folder
