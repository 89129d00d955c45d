"""Results that cannot be written: refused before any work, or an error, and a previous result stays."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refsav.disk.files import DiskError
from refsav.errors import RecordError
from refsav.model.output.prediction_folder import UNFINISHED, PredictionFolder
from refsav.model.output.result_json import InputInfo, TaskAnswer
from tests.support.data.written_outputs import CHAT, SEGMENT, SIZE, files, objects, picture, shown, write


@pytest.mark.parametrize(("name", "content"), [("result.json", "[1]"), ("result.json", "{"), ("thesis.tex", "x")])
def test_somebody_else_s_folder_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(RecordError, match=f"contains something other than a result: {name}"):
        write(tmp_path, 1)
    assert list(files(tmp_path)) == [name]


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RecordError, match="is a file"):
        write(tmp_path / "out", 1)


def test_a_folder_with_hidden_files_only_is_free(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    assert (write(tmp_path, 1) / "result.json").exists()


def test_a_failure_leaves_the_old_result_or_nothing(tmp_path: Path) -> None:
    before = files(write(tmp_path / "old", 3))
    for folder in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt), PredictionFolder(folder, shown(3), SEGMENT) as output:
            output.add(0, picture(0), objects(0))
            raise KeyboardInterrupt
    assert files(tmp_path / "old") == before
    assert not (tmp_path / "new").exists()


NAMES = """
from pathlib import Path
import numpy as np
from refsav.disk.files import DiskError
from refsav.model.output.prediction_folder import PredictionFolder
from tests.support.data.written_outputs import *
"""


def in_a_process(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{NAMES}folder = Path({str(folder)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])


def test_a_kill_leaves_nothing_that_looks_whole_and_the_next_try_goes_through(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "output = PredictionFolder(folder, shown(3), SEGMENT).__enter__()\n"
        "output.add(0, picture(0), objects(0))\n"
        "os._exit(9)"
    )
    assert in_a_process(code, tmp_path / "out").returncode == 9
    assert [path.name for path in (tmp_path / "out").iterdir()] == [UNFINISHED]
    whole = files(write(tmp_path / "whole", 3))
    assert files(write(tmp_path / "out", 3)) == whole


@pytest.mark.parametrize("name", ["masks", "overlay.mp4", "strip.jpg", "result.json"])
def test_a_failure_while_files_get_their_places_is_not_taken_for_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replace = Path.replace

    def broken(path: Path, target: Path) -> Path:
        if path.name == name:
            raise OSError(5, "Input/output error")
        return replace(path, target)

    with monkeypatch.context() as patched, pytest.raises(DiskError, match="Input/output error"):
        patched.setattr(Path, "replace", broken)
        write(tmp_path / "out", 3)
    assert not (tmp_path / "out/result.json").exists()
    assert files(write(tmp_path / "out", 3)) == files(write(tmp_path / "whole", 3))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [300, 4_000, 60_000])
def test_a_full_disk_is_an_error(tmp_path: Path, limit: int) -> None:
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (40, *SIZE, 3), dtype=np.uint8)\n"
        "try:\n"
        "    with PredictionFolder(folder, shown(40), SEGMENT) as output:\n"
        "        for index, frame in enumerate(noise): output.add(index, frame, objects(index))\n"
        "except DiskError as error: print(error)"
    )
    done = in_a_process(code, tmp_path / "out")
    assert "out: cannot be written: File too large" in done.stdout, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file/out: cannot be written"):
        write(tmp_path / "file" / "out", 1)


@pytest.mark.parametrize(
    ("index", "size", "count", "kind", "problem"),
    [
        (0, SIZE, 2, np.bool_, "frame 0: was given instead of frame 1 of 3"),
        (2, SIZE, 2, np.bool_, "frame 2: was given instead of frame 1 of 3"),
        (1, (90, 121), 2, np.bool_, r"frame 1: the mask of object 1 is bool \(90, 121\), not bool \(90, 120\)"),
        (1, SIZE, 1, np.bool_, "frame 1: has masks of 1 objects instead of 2"),
        (1, SIZE, 2, np.uint8, "frame 1: the mask of object 1 is uint8"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(
    tmp_path: Path, index: int, size: tuple[int, int], count: int, kind: type[np.generic], problem: str
) -> None:
    with (
        pytest.raises(RecordError, match=rf"cars\.mp4:{problem}"),
        PredictionFolder(tmp_path, shown(3), SEGMENT) as output,
    ):
        output.add(0, picture(0), objects(0))
        output.add(index, picture(index, size), [mask.astype(kind) for mask in objects(index, size)[:count]])
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("count", "given", "answer", "problem"),
    [
        (1, 2, SEGMENT, "frame 1: was given instead of frame 1 of 1"),
        (3, 1, SEGMENT, "frame 1: is missing: only 1 of 3 frames"),
        (3, 1, CHAT, "frame 1: is missing: only 1 of 3 frames"),
        (3, 0, SEGMENT, "frame 0: is missing: only 0 of 3 frames"),
    ],
)
def test_too_many_and_too_few_frames_are_refused(
    tmp_path: Path, count: int, given: int, answer: TaskAnswer, problem: str
) -> None:
    with pytest.raises(RecordError, match=problem), PredictionFolder(tmp_path, shown(count), answer) as output:
        for index in range(given):
            output.add(index, picture(index), objects(index)[: len(answer.phrases or ())])
    assert files(tmp_path) == {}


def test_a_frame_that_is_no_rgb_picture_is_refused(tmp_path: Path) -> None:
    for frame in (picture(0)[..., 0], picture(0).astype(np.float32), np.zeros((*SIZE, 4), np.uint8)):
        with pytest.raises(RecordError, match="give RGB"), PredictionFolder(tmp_path, shown(1), SEGMENT) as output:
            output.add(0, frame, objects(0))


def test_settings_that_json_cannot_hold_are_refused_before_any_work(tmp_path: Path) -> None:
    for value in (float("nan"), tmp_path):
        answer = TaskAnswer(text="", task="segment", phrases=(), settings={"value": value})
        with pytest.raises((TypeError, ValueError)):
            PredictionFolder(tmp_path / "out", shown(1), answer)


def test_what_is_neither_an_image_nor_a_video_is_refused() -> None:
    for size, count, rate_hz in (((0, 5), 1, None), ((5, 5), 0, 24.0), ((5, 5), 2, None)):
        with pytest.raises(ValueError, match="neither an image nor a video"):
            InputInfo(name="a", size=size, count=count, rate_hz=rate_hz)
