"""The command that measures: figures in a file, bars beside them, one line for a folder that will not do."""

import json
from pathlib import Path

import pytest

from refsav.benchmarks.speed.__main__ import main


def test_views_are_measured_and_the_figures_kept(
    sav_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures/speed.json"
    assert main(["views", "--rounds", "1", "--sav-data", str(sav_data), "--out", str(out)]) == 0
    kept = json.loads(out.read_text())
    (views,) = kept["measurements"]
    assert views["title"] == "views: 13 objects of sav_000001_head, one core"
    assert [ratio["bar"]["value"] for ratio in views["ratios"]] == [5.0, 1.1, 2.0]
    assert all(ratio["median"] > 0 for ratio in views["ratios"])
    assert kept["machine"]["libraries"].keys() >= {"av", "numpy", "prefect"}
    shown = capsys.readouterr().out
    assert "at least 5" in shown and f"figures: {out}" in shown.replace("\n", "")


def test_the_loader_is_measured_next_to_whole_decoding(sav_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    assert main(["loader", "--rounds", "1", "--sav-data", str(sav_data), "--out", str(out)]) == 0
    (loader,) = json.loads(out.read_text())["measurements"]
    assert loader["title"] == "loader: 5 frames and 5 of 13 objects of sav_000001_head, one core"
    (ratio,) = loader["ratios"]
    assert ratio["bar"]["value"] == 10.0 and ratio["median"] > 0


def test_a_folder_without_the_video_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "--sav-data", str(tmp_path), "--out", str(tmp_path / "speed.json")]) == 1
    reported = capsys.readouterr().err
    assert reported.startswith(f"error: {tmp_path}: has no sav_000001_head.mp4")
    assert "fix: set REFSAV_SAV_DATA" in reported
    assert not (tmp_path / "speed.json").exists()
