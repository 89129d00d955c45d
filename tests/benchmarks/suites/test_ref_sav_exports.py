"""Our own exports of the real videos: the truth scores 100.0, changed masks exactly as davis2017-evaluation says."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.benchmarks.result import Setup
from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of, run_suite
from refsav.benchmarks.suites.registry import open_suite
from refsav.benchmarks.suites.video_rows import ExpressionRow
from refsav.datasets.masks import decode
from refsav.datasets.official.evaluation_export import export_evaluation
from refsav.datasets.records import (
    Expression,
    ObjectCaptions,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover, read_video
from refsav.datasets.shards.splits import SplitConfig, assign
from tests.support.models.answering import Knowing, Masks, changed

Key = tuple[str, str]


@pytest.fixture(scope="module")
def reference(sav_data: Path) -> dict[tuple[str, int, str], tuple[np.ndarray, np.ndarray]]:
    """J and F of each frame by (video, column, change), by davis2017-evaluation."""
    path = sav_data.parent / "metrics/jf_reference.json"
    if not path.is_file():
        message = f"{path} is missing: figures of davis2017-evaluation for the real videos"
        if os.environ.get("REFSAV_REAL_VIDEOS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    cases = json.loads(path.read_text())["cases"]
    return {
        (case["video"], case["column"], case["prediction"]): (np.array(case["J"]), np.array(case["F"]))
        for case in cases
        if case["kind"] == "manual"
    }


@pytest.fixture(scope="module")
def objects(sav_data: Path) -> dict[str, VideoObjects]:
    """The real videos that the reference knows."""
    files = [found for found in discover(sav_data, SourceConfig()) if isinstance(found, VideoFile)]
    wanted = ("sav_000001_head", "vos_000002")
    return {file.video_id: read_video(file, SourceConfig()) for file in files if file.video_id in wanted}


@pytest.fixture(scope="module")
def exported(objects: dict[str, VideoObjects], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their manual objects, exported as refsav build exports them."""
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    tracks = [track for video in objects.values() for track in video.tracks if track.source == "manual"]
    expressions = [described(track) for track in tracks]
    write_parts(run, "bundle-000000", expressions=expressions, dropped=[], failed=[], unreadable=[])
    files = {video_id: video.video for video_id, video in objects.items()}
    return export_evaluation(run, assign(files, SplitConfig(val_share=1)), files).path


def described(track: ObjectTrack) -> Expression:
    return Expression(
        track=track,
        captions=ObjectCaptions(crop="", masked=""),
        verdict=Verdict(consistent=True, confidence=1.0, reason=""),
        scene=SceneCaption(text=""),
        video=VideoCaption(text=f"object {track.column} of {track.video_id}"),
        provenance=Provenance(vlm="", judge="", prompts=""),
    )


@pytest.fixture(scope="module")
def truth(objects: dict[str, VideoObjects]) -> dict[Key, list[Masks]]:
    return {
        (track.video_id, f"object {track.column} "): [pixels(track)]
        for video in objects.values()
        for track in video.tracks
        if track.source == "manual"
    }


def pixels(track: ObjectTrack) -> Masks:
    blank = np.zeros(track.size, np.bool_)
    return np.stack([blank if mask is None else decode(mask) for mask in track.masks])


def filtered(size_px: int, how: Callable[..., np.ndarray]) -> Callable[[Masks], Masks]:
    square = np.ones((size_px, size_px), np.uint8)
    return lambda masks: np.stack([how(mask.view(np.uint8), square) > 0 for mask in masks])


def half_emptied(masks: Masks) -> Masks:
    every_other = masks.copy()
    every_other[::2] = False
    return every_other


CHANGES: dict[str, Callable[[Masks], Masks]] = {
    "shift5": lambda masks: np.roll(masks, 5, axis=-1),
    "dilate9": filtered(9, cv2.dilate),
    "erode7": filtered(7, cv2.erode),
    "empty": np.zeros_like,
    "half_empty": half_emptied,
}


def run(exported: Path, answerer: Knowing, folder: Path) -> tuple[dict[str, dict[str, float]], list[ExpressionRow]]:
    suite = open_suite("ref-sav", exported)
    result = run_suite(suite, answerer, folder, Setup.of(suite, len(suite.dataset), "truth", "0", {}))
    assert not result.failed
    return result.scores, list(rows_of(BenchmarkDirectory(folder), suite))


def test_the_truth_scores_100(exported: Path, truth: dict[Key, list[Masks]], tmp_path: Path) -> None:
    scores, rows = run(exported, Knowing(truth), tmp_path)
    assert scores == {group: {"J": 100.0, "F": 100.0, "J&F": 100.0} for group in ("long", "overall")}
    assert len(rows) == len(truth)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_masks_score_as_the_reference_does(
    exported: Path,
    truth: dict[Key, list[Masks]],
    reference: dict[tuple[str, int, str], tuple[np.ndarray, np.ndarray]],
    tmp_path: Path,
    change: str,
) -> None:
    scores, rows = run(exported, changed(CHANGES[change], truth), tmp_path)
    compared = 0
    for row in rows:
        column = int(row.expression.split()[1])
        if (row.video_id, column, change) in reference:
            j, f = reference[row.video_id, column, change]
            assert row.j == pytest.approx(j.mean(), abs=1e-8)
            assert row.f == pytest.approx(f.mean(), abs=1e-8)
            compared += 1
    assert compared >= 2
    rounded = [round(100 * row.j, 2) for row in rows]
    assert scores["long"]["J"] == pytest.approx(np.mean(rounded), abs=1e-9)
