"""How the page is served: errors of the address, the summary of the model, temporary files."""

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


def test_an_address_in_use_is_an_error() -> None:
    with ui.listen("127.0.0.1", 0) as taken:
        port = int(taken.getsockname()[1])
        problem = rf"127.0.0.1, port {port}: cannot be listened on: Address already"
        with pytest.raises(AddressError, match=problem), ui.listen("127.0.0.1", port):
            pass
    with ui.listen("127.0.0.1", port):
        pass
    problem = r"no.such.host.invalid, port 0: cannot be listened on"
    with pytest.raises(AddressError, match=problem), ui.listen("no.such.host.invalid", 0):
        pass


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
def test_the_url_is_one_that_a_browser_takes(host: str, url: str) -> None:
    assert ui._url(host, 80) == url


def test_temporary_files_have_a_folder_of_their_own_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ui._private_folder() as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        with tempfile.NamedTemporaryFile(delete=False) as file:
            assert Path(file.name).parent == folder
    assert os.listdir(tmp_path) == [] and tempfile.gettempdir() == str(tmp_path)  # noqa: PTH208 - hidden ones too


def test_the_page_shows_what_the_model_is_and_what_auto_means(model: Sa2VA) -> None:
    summary = ui._summary(model, "small")
    assert (summary.name, summary.facts[0], summary.facts[2]) == ("small", "Qwen3-VL", "cpu, float32")
    assert summary.facts[1].endswith("million parameters")
    assert (summary.defaults.key_frames, summary.defaults.propagation) == ("first-5", "official")
    assert "never trained with visual prompts" in summary.no_regions
