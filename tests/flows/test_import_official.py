"""An import of which nothing comes fails the command, and says what was given wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]

ENTRY = {
    "video_path": "vos_000002.mp4",
    "anno_path": "vos_000002_manual.json",
    "objects": {"0": {"formated": "A dark car that drives by.", "short_caps": []}},
}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "Ref-SAV.json"
    path.write_text(json.dumps({"vos_000002": ENTRY}))
    return path


@pytest.fixture
def source(copy_clips: CopyClips, tmp_path: Path) -> Path:
    return copy_clips(tmp_path / "source", "vos_000002")


def test_a_wrong_folder_fails_and_is_asked_about(command: Command, texts: Path, source: Path, tmp_path: Path) -> None:
    (wrong := tmp_path / "wrong").mkdir()
    failed = command("import", texts, wrong, tmp_path / "run")
    assert failed.code == 1
    assert "1 objects = 0 expressions + 0 dropped + 1 failed" in failed.out
    problem = "vos_000002_manual.json: there is no such file; fix: put it there, or give the folder that the paths"
    assert problem in failed.out
    assert "download" not in failed.out
    assert f"error: {texts}: nothing could be imported\n  fix: give a Ref-SAV.json, and the folder" in failed.err
    assert str(wrong) in failed.err
    assert command("import", texts, source, tmp_path / "right").code == 0


@pytest.mark.parametrize("content", [{}, {"vos_000002": {"expressions": ["A dark car."]}}])
def test_a_file_of_another_kind_fails(
    command: Command, texts: Path, source: Path, tmp_path: Path, content: dict[str, object]
) -> None:
    texts.write_text(json.dumps(content))
    failed = command("import", texts, source, tmp_path / "run")
    assert failed.code == 1
    assert f"error: {texts}: nothing could be imported\n  fix: give a Ref-SAV.json" in failed.err


def test_a_missing_file_is_an_error(command: Command, source: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nope.json"
    failed = command("import", missing, source, tmp_path / "run")
    assert (failed.code, failed.err) == (
        1,
        f"error: {missing}: there is no such file\n  fix: give a Ref-SAV.json\n",
    )
