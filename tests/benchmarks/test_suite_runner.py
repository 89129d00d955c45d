"""A run keeps finished items, resumes after a kill, reports what it cannot use, and belongs to one setup."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco

from refsav.benchmarks.result import Setup, read_result
from refsav.benchmarks.submissions import write_predictions, write_submission
from refsav.benchmarks.suite_runner import BenchmarkDirectory, TooManyFailedError, run_suite
from refsav.benchmarks.suites.registry import open_suite
from refsav.disk.files import digest_of
from refsav.errors import ConfigError, RecordError
from refsav.model.checkpoints.checkpoint import checkpoint_digest
from tests.support.data import expression_sets as made
from tests.support.models.answering import Knowing

SAID = {"red box": ("1",), "what is blue?": ("2",), "both boxes": ("1", "2")}
ALL = {(video, text): [made.truth(video, *objects)] for video in made.VIDEOS for text, objects in SAID.items()}


class Dying(Knowing):
    """Ends the process at the second video, as a kill does: nothing is tidied up."""

    def ask(self, clip, prompts, **options):
        if self.asked:
            os._exit(9)
        return super().ask(clip, prompts, **options)


def die_in_a_process_of_its_own(suite, folder, setup):
    child = os.fork()
    if child == 0:
        run_suite(suite, Dying(ALL), folder, setup)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.write_ref_sav(tmp_path / "set")


def setup_of(suite, **changes):
    return replace(Setup.of(suite, len(suite.dataset), "truth", "0", {"key_frames": "first-5"}), **changes)


def test_a_killed_run_resumes_and_leaves_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    suite = open_suite("ref-sav", folder)
    die_in_a_process_of_its_own(suite, tmp_path / "cut", setup_of(suite))
    assert not (tmp_path / "cut/result.json").exists()
    (tmp_path / "cut/parts/.000001.parquet.x.part").write_bytes(b"half a part")
    rest, done = Knowing(ALL), []
    run_suite(suite, rest, tmp_path / "cut", setup_of(suite), on_progress=done.append)
    assert [name for name, _ in rest.asked] == ["a_first"]
    assert done == [1, 2]
    run_suite(suite, Knowing(ALL), tmp_path / "whole", setup_of(suite))
    for name in ("result.json", "scores.parquet", "parts/000000.parquet", "parts/000001.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "cut").rglob("*.part"))


def test_an_unreadable_item_is_reported_and_evaluated_once_it_is_repaired(folder: Path, tmp_path: Path) -> None:
    frame = folder / "videos/a_first/00010.jpg"
    content = frame.read_bytes()
    frame.unlink()
    suite = open_suite("ref-sav", folder)
    with pytest.raises(
        TooManyFailedError, match=r"1 of 2 items cannot be used, at most 0% may fail:\n  videos/a_first/00010.jpg: "
    ) as reported:
        run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    assert str(tmp_path) not in str(reported.value)
    result = run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite), failed_share=0.5)
    assert (result.rows, len(result.failed)) == (3, 1)
    assert result.failed[0].startswith("videos/a_first/00010.jpg: ")
    assert result.scores["overall"]["J&F"] == 100
    frame.write_bytes(content)
    mended = run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    assert (mended.rows, mended.failed) == (6, ())
    assert read_result(tmp_path / "run") == mended


def test_a_run_in_which_every_item_fails_is_an_error(folder: Path, tmp_path: Path) -> None:
    for frame in (folder / "videos").rglob("*.jpg"):
        frame.write_bytes(b"no picture")
    suite = open_suite("ref-sav", folder)
    with pytest.raises(TooManyFailedError, match="2 of 2 items cannot be used, nothing is left to score"):
        run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite), failed_share=1.0)


def test_a_folder_belongs_to_one_setup(folder: Path, tmp_path: Path) -> None:
    suite = open_suite("ref-sav", folder)
    run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    other = setup_of(suite, checkpoint_digest="1", settings={"key_frames": "all"})
    with pytest.raises(
        ConfigError, match=r"another run: checkpoint_digest \(0, now 1\), settings\.key_frames \(first-5, now all\)"
    ):
        run_suite(suite, Knowing(ALL), tmp_path / "run", other)
    (tmp_path / "run/run.json").write_text("{}")
    with pytest.raises(RecordError, match="is not what refsav bench writes"):
        run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))


def test_a_damaged_part_is_reported_with_its_repair(folder: Path, tmp_path: Path) -> None:
    suite = open_suite("ref-sav", folder)
    run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    part = tmp_path / "run/parts/000000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(
        RecordError, match=r"000000\.parquet: is not a readable Parquet part.*\n  fix: delete it and run"
    ):
        run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    part.unlink()
    assert run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite)).rows == 6


def test_scores_are_one_row_an_expression_without_masks(folder: Path, tmp_path: Path) -> None:
    suite = open_suite("ref-sav", folder)
    run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    table = pq.read_table(tmp_path / "run/scores.parquet")
    assert {"video_id", "exp_id", "kind", "expression", "answer", "j", "f"} <= set(table.column_names)
    assert not {"masks", "frame_names"} & set(table.column_names)
    assert table["j"].to_pylist() == [1.0] * 6


def test_predictions_are_what_the_official_scripts_read(folder: Path, tmp_path: Path) -> None:
    suite = open_suite("ref-sav", folder)
    run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    found = json.loads(write_predictions(BenchmarkDirectory(tmp_path / "run")).read_text())
    assert {video: sorted(expressions) for video, expressions in found.items()} == {
        video: ["0", "1", "2"] for video in made.VIDEOS
    }
    for video in made.VIDEOS:
        masks = found[video]["2"]["prediction_masks"]
        decoded = np.stack([coco.decode(mask) for mask in masks])  # an empty frame, too, has a mask
        assert (decoded == made.truth(video, "1", "2")).all()


def test_a_submission_has_a_picture_for_every_frame(tmp_path: Path) -> None:
    suite = open_suite("mevis-val", made.write_mevis(tmp_path / "set"))
    result = run_suite(suite, Knowing(ALL), tmp_path / "run", setup_of(suite))
    assert suite.for_server
    assert (result.scores, result.rows) == ({}, 6)
    archive = write_submission(BenchmarkDirectory(tmp_path / "run"))
    first = archive.read_bytes()
    assert write_submission(BenchmarkDirectory(tmp_path / "run")).read_bytes() == first
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        opened.extractall(tmp_path / "unpacked")
    assert len(names) == 2 * 3 * made.FRAMES
    for (video, text), (masks,) in ALL.items():
        exp_id = str(list(SAID).index(text))
        for frame, name in enumerate(made.NAMES):
            picture = np.array(Image.open(tmp_path / f"unpacked/Annotations/{video}/{exp_id}/{name}.png"))
            assert (picture == 255 * masks[frame]).all()
            assert picture.dtype == np.uint8


def test_digests_follow_contents_and_names_alone(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "config.json").write_text("{}")
        (tmp_path / place / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "b/README.md").write_text("not of the model")
    os.utime(tmp_path / "b/config.json", (0, 0))
    assert checkpoint_digest(tmp_path / "a") == checkpoint_digest(tmp_path / "b")
    files = sorted((tmp_path / "a").iterdir())
    assert digest_of(files) == digest_of(files[::-1])
    (tmp_path / "b/model.safetensors").write_bytes(b"weightz")
    assert checkpoint_digest(tmp_path / "a") != checkpoint_digest(tmp_path / "b")
