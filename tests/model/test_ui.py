"""How the page is served: an address that cannot be had is told, the page says what is asked, nothing is left."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from refsav.model import ui
from refsav.model.sa2va import Sa2VA
from refsav.model.ui import AddressError, serve
from tests.model.speaking import write_speaking


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Sa2VA:
    return Sa2VA.from_pretrained(write_speaking(tmp_path_factory.mktemp("model") / "speaking"), device="cpu")


def test_an_address_that_cannot_be_had_is_told(model: Sa2VA) -> None:
    given = {"most_mb": 1, "given": None, "ready": print}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(AddressError, match=rf"127.0.0.1, port {port}: cannot be listened on: Address already"):
            serve(model, "small", host="127.0.0.1", port=port, **given)
    with pytest.raises(AddressError, match=r"no.such.host.invalid, port 0: cannot be listened on"):
        serve(model, "small", host="no.such.host.invalid", port=0, **given)


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
