"""A source with everything wrong that the world puts into one, and commands that run in this process."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refsav.cli.main import main
from refsav.datasets.masks import encode
from tests.support.command import Finished

Command = Callable[..., Finished]
CopyClips = Callable[..., Path]
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def bad_source(copy_clips: CopyClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound real videos, and copies of one of them with each fault of its own, by the fault's name."""
    folder = tmp_path_factory.mktemp("bad")
    copy_clips(folder, "vos_000001", "vos_000002")
    content, media = (folder / "vos_000001_manual.json").read_text(), (folder / "vos_000001.mp4").read_bytes()

    def clip(video_id: str, change: Change = lambda _: None, media: bytes | None = media) -> Path:
        changed = json.loads(content)
        changed["video_id"] = video_id
        change(changed)
        path = folder / f"{video_id}_manual.json"
        path.write_text(json.dumps(changed))
        if media is not None:
            (folder / f"{video_id}.mp4").write_bytes(media)
        return path

    clip("media_missing", media=None)
    clip("media_truncated", media=media[: len(media) // 2])
    clip("media_empty", media=b"")
    clip("media_is_text", media=b"<html>404 Not Found</html>")
    clip("media_of_other_size", media=(folder / "vos_000002.mp4").read_bytes())
    clip("media_damaged_inside", media=media[:200_000] + bytes(150_000) + media[350_000:])
    clip("media_is_missing_its_end", shorter_annotations)
    cut = clip("json_cut_short")
    cut.write_text(cut.read_text()[:5000])
    clip("json_binary").write_bytes(b"\xff\xfe\x00\x01")
    clip("json_list").write_text("[]")
    clip("json_nested").write_text("[" * 100_000)
    clip("json_missing_key", lambda c: c.pop("masklet"))
    clip("json_wrong_type", lambda c: c.update(masklet_id="0, 1"))
    clip("json_no_number", lambda c: c.update(video_height=float("nan")))
    clip("json_other_video", lambda c: c.update(video_id="../../../etc/passwd"))
    clip("json_huge_id", lambda c: c.update(masklet_id=[0, 10**30]))
    clip("row_too_short", lambda c: c["masklet"][3].pop())
    clip("rows_missing", lambda c: c["masklet"].pop())
    clip("rle_of_other_size", lambda c: c["masklet"][5][1].update(size=[1, 1]))
    clip("rle_cut_short", lambda c: c["masklet"][5][1].update(counts=c["masklet"][5][1]["counts"][:-3]))
    clip("rle_missing", lambda c: c["masklet"][5].__setitem__(1, None))
    clip("id_twice", lambda c: c.update(masklet_id=[4, 4]))
    clip("frame_count_disagrees", lambda c: c.update(video_frame_count=9999.0))
    clip("objects_empty_and_tiny", empty_and_tiny)
    clip("name..dots")
    (folder / "again").mkdir()
    copy_clips(folder / "again", "vos_000002")
    return folder


def shorter_annotations(content: dict[str, Any]) -> None:
    content["masklet"] += content["masklet"][-5:]


def empty_and_tiny(content: dict[str, Any]) -> None:
    empty, dot = np.zeros((384, 640), dtype=np.bool_), np.zeros((384, 640), dtype=np.bool_)
    dot[10, 10] = True
    for row in content["masklet"]:
        row[0]["counts"], row[1]["counts"] = encode(empty).counts, encode(dot).counts


@pytest.fixture
def command(
    prefect_server: None,  # noqa: ARG001 - what the command talks to
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs the command line in this process, where a Prefect server need not be started each time."""

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["refsav", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        return Finished(int(exited.value.code or 0), printed.out, printed.err)

    return run
