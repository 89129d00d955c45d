"""A build over SA-V's val layout, folders of frames: what does not fit into an export is reported, not lost."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from tests.support.command import Finished

Command = Callable[..., Finished]
SIZE = (96, 128)


def write_video(source: Path, video_id: str) -> None:
    """A red square that moves right over grey, 12 frames."""
    frames, masks = source / "JPEGImages_24fps" / video_id, source / "Annotations_6fps" / video_id / "000"
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for index in range(12):
        picture, mask = np.full((*SIZE, 3), 110, np.uint8), np.zeros(SIZE, np.uint8)
        window = np.s_[30:70, 10 + 4 * index : 50 + 4 * index]
        picture[window], mask[window] = (0, 0, 200), 255
        cv2.imwrite(str(frames / f"{index:05d}.jpg"), picture)
        if index % 4 == 0:
            cv2.imwrite(str(masks / f"{index:05d}.png"), mask)


def test_videos_without_a_place_in_the_training_file_are_one_line_and_no_empty_file_is_offered(
    command: Command, tmp_path: Path
) -> None:
    for number in range(3):
        write_video(tmp_path / "source", f"v{number}")
    built = command("build", tmp_path / "source", tmp_path / "run", "--split.val_share", "0")
    assert built.code == 0, built.err
    (line,) = read_problems(RunDirectory(tmp_path / "run"))
    assert line.startswith("the source is folders of frames; Ref-SAV.json names mp4 files (")
    assert line in built.out
    assert "  training " not in built.out
    counted = command("stats", tmp_path / "run")
    assert counted.code == 0
    assert read_problems(RunDirectory(tmp_path / "run")) == [line]
