"""What several test folders share: the real data beside the project, and a Prefect server."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CopyClips = Callable[..., Path]


@pytest.fixture(scope="session")
def sav_data() -> Path:
    """Real videos with masks, in SA-V's layout: $REFSAV_SAV_DATA, or ../shared/data/sav beside the checkout."""
    default = Path(__file__).parents[1] / "../shared/data/sav"
    folder = Path(os.environ.get("REFSAV_SAV_DATA", default)).resolve()
    if not folder.is_dir():
        message = f"{folder} is missing: set REFSAV_SAV_DATA to a folder of SA-V videos (CONTRIBUTING.md says which)"
        if os.environ.get("REFSAV_REAL_VIDEOS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def copy_clips(sav_data: Path) -> CopyClips:
    """Copies real videos with their annotations into a folder of the test's own, where they may be changed."""

    def copy(folder: Path, *video_ids: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for video_id in video_ids:
            for path in (sav_data / f"{video_id}.mp4", *sorted(sav_data.glob(f"{video_id}_*.json"))):
                shutil.copyfile(path, folder / path.name)
        return folder

    return copy


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Prefect's server for flows that run in this process, on a database of its own."""
    from refsav.commands.run_flows import quiet_prefect

    quiet_prefect()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
