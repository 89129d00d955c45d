"""What several test folders share: the real data beside the project."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sav_data() -> Path:
    """Real videos with masks, in SA-V's layout: $REFSAV_SAV_DATA, or ../shared/data/sav beside the checkout."""
    default = Path(__file__).parents[1] / "../shared/data/sav"
    folder = Path(os.environ.get("REFSAV_SAV_DATA", default)).resolve()
    if not folder.is_dir():
        message = f"{folder} is missing: set REFSAV_SAV_DATA to a folder of SA-V videos (CONTRIBUTING.md says which)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
