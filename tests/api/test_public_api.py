"""`import refsav`: what it offers, what it costs, and one build from Python read back in every way."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refsav
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes

ALLOWED_MS = 50


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public") / "scenes"
    list(write_scenes(folder, SynthConfig(videos=3)))
    return folder


@pytest.fixture(scope="module")
def run(scenes: Path, prefect_server: None) -> "refsav.Run":  # noqa: ARG001 - flows need the server
    return refsav.build(scenes, scenes.parent / "run")


def test_every_public_name_loads_and_nothing_else_does() -> None:
    assert {name for name in refsav.__all__ if getattr(refsav, name) is None} == set()
    assert set(refsav.__all__) <= set(dir(refsav))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        refsav.nothing  # noqa: B018


def test_importing_is_fast_and_loads_no_heavy_package() -> None:
    program = (
        "import sys, time; start = time.perf_counter(); import refsav; used = time.perf_counter() - start;"
        "print(used * 1000, *sorted({'torch', 'prefect', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True) for _ in range(3)]
    fields = [run.stdout.split() for run in runs]
    assert min(float(first) for first, *_ in fields) < ALLOWED_MS
    assert all(not loaded for _, *loaded in fields)


def test_expressions_come_with_masks_and_frames(run: "refsav.Run") -> None:
    expressions = list(run.expressions())
    assert len(expressions) == run.statistics.expressions > 0
    first = expressions[0]
    assert len(first.text.split()) > 10
    ((row, image),) = first.frames([first.largest_row])
    assert row == first.largest_row and image.shape == (*first.track.size, 3) and image.dtype == np.uint8
    assert first.masks().shape == (first.rows, *first.track.size)
    assert first.mask(row).sum() == first.track.areas_px[row] == max(first.track.areas_px)
    assert [row for row, _ in first.frames([2, 0])] == [0, 2]
    with pytest.raises(IndexError):
        next(first.frames([first.rows]))


def test_splits_part_the_expressions(run: "refsav.Run") -> None:
    names = {split: [one.name for one in run.expressions(split)] for split in ("train", "val")}
    assert sorted(names["train"] + names["val"]) == sorted(one.name for one in run.expressions())
    assert names["val"]


def test_tables_have_a_row_per_object(run: "refsav.Run") -> None:
    table = run.to_pandas()
    assert len(table) == run.statistics.expressions
    assert list(table["expression"]) == [one.text for one in run.expressions()]
    assert set(table["split"]) == {"train", "val"} and "masks" not in table
    assert len(run.to_pandas("dropped")) == run.statistics.dropped == len(list(run.dropped()))
    assert len(run.to_pandas("failed")) == run.statistics.failed == len(list(run.failed()))


def test_a_damaged_part_is_named(run: "refsav.Run", tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes((run.path / "run.toml").read_bytes())
    (tmp_path / "expressions").mkdir()
    (tmp_path / "expressions/bundle-000000.parquet").write_bytes(b"not Parquet")
    with pytest.raises(refsav.RefSavError, match=r"bundle-000000\.parquet: cannot be read as a table"):
        refsav.open_run(tmp_path).to_pandas()


def test_a_folder_that_is_not_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(refsav.RefSavError, match="fix: "):
        refsav.open_run(tmp_path)


def test_a_moved_source_is_given_when_opening(run: "refsav.Run", scenes: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(scenes)
    expression = next(refsav.open_run(run.path, source=moved).expressions())
    assert expression.media.is_relative_to(moved) and next(expression.frames([0]))


def test_shards_hold_the_texts_and_masks_of_the_run(run: "refsav.Run") -> None:
    texts = {
        text for video in refsav.read_shards(run.path / "shards/train") for one in video.objects for text in one.texts
    }
    assert texts == {one.text for one in run.expressions("train")}
    video = next(refsav.read_shards(run.path / "shards/train"))
    assert len(list(video.frames())) == len(video.objects[0].masks())
    with pytest.raises(refsav.RefSavError, match="holds no shards"):
        next(refsav.read_shards(run.path / "expressions"))


def test_sav_videos_are_read_with_their_problems(scenes: Path, run: "refsav.Run", tmp_path: Path) -> None:
    videos = list(refsav.read_sav(scenes))
    assert sum(len(video.objects) for video in videos) == run.statistics.objects_read
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "a_manual.json").write_text("{")
    problems: list[str] = []
    list(refsav.read_sav(tmp_path, on_problem=problems.append))
    assert len(problems) == 1


def test_scores_of_masks(run: "refsav.Run") -> None:
    masks = next(run.expressions()).masks()
    assert refsav.score_j_and_f(masks, masks).jf == 1
    assert refsav.score_j_and_f(np.zeros_like(masks), masks).j < 1
    assert refsav.score_j_and_f(masks[:2], masks[:2], "davis") is None


def test_masks_survive_encoding() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[1:3, 2:6] = True
    assert (refsav.decode_mask(refsav.encode_mask(mask)) == mask).all()


def test_training_examples_are_read(run: "refsav.Run") -> None:
    data = refsav.open_training_data([{"kind": "ref-sav", "path": str(run.path)}])
    assert data.read(0, 0).turns
    with pytest.raises(refsav.RefSavError, match="there is no such key"):
        refsav.open_training_data([{"kind": "ref-sav", "path": str(run.path), "pathh": ""}])
