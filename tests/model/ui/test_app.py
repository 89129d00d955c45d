"""How the page is served: an address that cannot be had is told, the page says what is asked, nothing is left."""

import os
import tempfile
from pathlib import Path

import pytest

from refsav.model.sa2va import Sa2VA
from refsav.model.ui import app as ui
from refsav.model.ui.app import AddressError
from tests.support.models.speaking import write_speaking


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Sa2VA:
    return Sa2VA.from_pretrained(write_speaking(tmp_path_factory.mktemp("model") / "speaking"), device="cpu")


def test_an_address_that_cannot_be_had_is_told() -> None:
    with ui.listening("127.0.0.1", 0) as taken:
        port = int(taken.getsockname()[1])
        problem = rf"127.0.0.1, port {port}: cannot be listened on: Address already"
        with pytest.raises(AddressError, match=problem), ui.listening("127.0.0.1", port):
            pass
    with ui.listening("127.0.0.1", port):
        pass
    problem = r"no.such.host.invalid, port 0: cannot be listened on"
    with pytest.raises(AddressError, match=problem), ui.listening("no.such.host.invalid", 0):
        pass


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
def test_the_address_is_told_as_a_browser_takes_it(host: str, told: str) -> None:
    assert ui._told_address(host, 80) == told


def test_temporary_files_have_a_folder_of_their_own_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ui._private_folder() as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        with tempfile.NamedTemporaryFile(delete=False) as file:
            assert Path(file.name).parent == folder
    assert os.listdir(tmp_path) == [] and tempfile.gettempdir() == str(tmp_path)  # noqa: PTH208 - hidden ones too


def test_the_page_tells_what_the_model_is_and_what_auto_means(model: Sa2VA) -> None:
    told = ui._told(model, "small")
    assert (told.name, told.facts[0], told.facts[2]) == ("small", "Qwen3-VL", "cpu, float32")
    assert told.facts[1].endswith("million parameters")
    assert (told.usual.key_frames, told.usual.propagation) == ("first-5", "official")
    assert "never trained with visual prompts" in told.no_regions
