"""Fixtures that several test folders share, and how the tests are spread over the cores."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

CopyClips = Callable[..., Path]

LONGEST_FIRST = (
    "flows/test_build.py",
    "docs/test_examples.py",
    "flows/test_damage.py",
    "model/training/test_distributed.py",
    "annotators/attributes/test_truth.py",
    "model/test_notebook.py",
    "flows/test_nightly.py",
    "flows/test_end_to_end.py",
    "flows/test_review.py",
    "flows/test_bad_input.py",
    "services/test_storage.py",
    "services/test_kill.py",
    "services/test_ray.py",
    "model/test_parity.py",
    "services/test_build_on_vllm.py",
    "services/test_vllm_cpu.py",
    "services/test_faults.py",
    "services/label_studio/test_review.py",
    "services/label_studio/test_faults.py",
    "services/label_studio/test_labelling_page.py",
    "services/test_service_faults.py",
    "services/test_schedule.py",
    "services/test_service_nightly.py",
)
"""Files that take longest. They start first, so that no worker still runs one when the others have finished."""

ONE_SERVER = {
    "tests/services/test_build_on_vllm.py": "vLLM",
    "tests/services/test_vllm_cpu.py": "vLLM",
    "tests/services/label_studio/test_review.py": "Label Studio",
    "tests/services/label_studio/test_faults.py": "Label Studio",
    "tests/services/label_studio/test_labelling_page.py": "Label Studio",
}
"""Files that use the same server: one worker runs them, so that it is started once."""


class ByServerOrFile(LoadFileScheduling):
    """Keeps the tests of a file, and the files of a server, on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return ONE_SERVER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return ByServerOrFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    position = {root / name: index for index, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: position.get(item.path, len(position)))


@pytest.fixture(scope="session")
def sav_data() -> Path:
    """Real videos with masks in SA-V's layout: $REFSAV_SAV_DATA, or ../shared/data/sav next to the checkout."""
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
    """Copies real videos and their annotations into a folder where the test may change them."""

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
