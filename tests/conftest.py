"""What several test folders share: the real data beside the project."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sav_data() -> Path:
    """Real videos with masks, in SA-V's layout; see SOURCES.md there."""
    folder = Path(__file__).parents[1] / "../shared/data/sav"
    if not folder.is_dir():
        pytest.fail(f"{folder.resolve()} is missing: these tests need the shared data beside the checkout")
    return folder.resolve()
