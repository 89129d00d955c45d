"""`refsav build` over a folder with everything wrong: one clear line each, the sound videos whole, exit code 0."""

import json
import re
from pathlib import Path

import pytest

from refsav.datasets.run.parts import read_dropped, read_expressions, read_failed
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from tests.support.command import Finished, refsav

PROBLEMS = {
    "again/vos_000002.mp4": "folder . already has a video with id vos_000002",
    "name..dots.mp4": "'name..dots' is not a valid video id",
    "media_missing.mp4": "the video is missing",
    "media_empty.mp4": "cannot be opened as a video",
    "media_is_text.mp4": "cannot be opened as a video",
    "media_of_other_size.mp4": "the video is 480x854, its annotations 384x640",
    "media_damaged_inside.mp4": "cannot be decoded",
    "media_truncated_manual.json": "masklet: has 23 rows, 35 video frames need 9",
    "media_is_missing_its_end_manual.json": "masklet: has 28 rows, 90 video frames need 23",
    "rows_missing_manual.json": "masklet: has 22 rows, 90 video frames need 23",
    "json_cut_short_manual.json": "line 1 column 3807: is not valid JSON",
    "json_binary_manual.json": "is not valid JSON",
    "json_list_manual.json": "is not a JSON object",
    "json_nested_manual.json": "cannot be read: maximum recursion depth",
    "json_missing_key_manual.json": "masklet: the key is missing",
    "json_wrong_type_manual.json": "masklet_id: has the wrong type: str '0, 1'",
    "json_no_number_manual.json": "are [nan, 640.0], not a video's size",
    "json_other_video_manual.json": "video_id: says '../../../etc/passwd'",
    "json_huge_id_manual.json": "masklet_id: contains a value that is not a valid id",
    "row_too_short_manual.json": "masklet[3]: has 1 masks for 2 ids",
    "rle_of_other_size_manual.json": "masklet[5][1]: mask is 1x1, the video 384x640",
    "rle_cut_short_manual.json": "masklet[5][1]: counts are truncated",
    "rle_missing_manual.json": "masklet[5][1]: is not a COCO compressed RLE",
    "id_twice_manual.json": "masklet_id[1]: id 4 is already used in column 0",
}
"""What is said of each file: one line with its name, the place, the problem and the fix."""

HALF_WELL = {"rle_of_other_size", "rle_cut_short", "rle_missing", "id_twice"}
"""One of the two objects is bad, the other comes through."""

WELL = {"vos_000001", "vos_000002", "frame_count_disagrees"}
"""Rows decide, not the number of frames that the JSON claims."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return RunDirectory(tmp_path_factory.mktemp("build") / "run")


@pytest.fixture(scope="module")
def built(bad_source: Path, run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    home = tmp_path_factory.mktemp("prefect")
    options = ("--views.longest_side_px", "320", "--views.frames", "4", "--split.val_share", "0.5")
    return refsav("build", bad_source, run.root, *options, home=home, REFSAV_API_KEY="sk-do-not-tell-4711")


def test_the_build_succeeds_and_its_counts_add_up(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0, built.err
    counts = re.match(r"(\d+) objects = (\d+) expressions \+ (\d+) dropped \+ (\d+) failed\n", built.out)
    assert counts, built.out
    read, *ways = map(int, counts.groups())
    assert read == sum(ways) == 31
    stats = json.loads(run.stats.read_text())
    assert (stats["objects_read"], stats["failed"], stats["unreadable_files"]) == (read, ways[2], 12)


def test_every_problem_is_one_clear_line(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    lines = read_problems(run)
    for file, problem in PROBLEMS.items():
        (line,) = [line for line in lines if re.search(rf"(^|/){re.escape(file)}:", line)]
        assert problem in line
        assert "; fix: " in line
    assert len(lines) == len(PROBLEMS)
    shown = re.findall(r"^  problem +(.*)$", built.out, re.MULTILINE)
    assert shown == lines[: len(shown)] and len(shown) == 10
    assert f"and {len(lines) - 10} more" in built.out
    assert f"problems   {run.problems}" in built.out


def test_good_objects_are_captioned_next_to_bad_ones(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    done = [one.track.key for one in read_expressions(run)]
    done += [one.track.key for one in read_dropped(run) if one.stage == "judge"]
    assert len(done) == len(set(done))
    assert {key.video_id for key in done} == WELL | HALF_WELL
    failed = {one.key.video_id for one in read_failed(run)}
    assert not failed & WELL
    assert failed > HALF_WELL


def test_empty_and_tiny_objects_are_dropped_by_rule(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    reasons = [one.reason for one in read_dropped(run) if one.track.video_id == "objects_empty_and_tiny"]
    assert [reason.partition(":")[0] for reason in reasons] == ["never visible", "too small"]


def test_every_output_is_there(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    places = dict(re.findall(r"^  (\w+) +(/\S+)", built.out, re.MULTILINE))
    assert places.keys() - {"problem"} == {
        "gallery",
        "shards",
        "statistics",
        "training",
        "evaluation",
        "failed",
        "problems",
    }
    assert all(Path(place).exists() for place in places.values())
    assert list(run.shards.rglob("*.tar"))
    assert f"refsav retry {run.root}" in built.out
    assert list(run.root.rglob("*.part")) == []


def test_the_terminal_shows_neither_noise_nor_traces(built: Finished) -> None:
    ours = r"starting Prefect; .*|\d+ of \d+ videos read; .*"
    assert [line for line in built.err.splitlines() if not re.fullmatch(ours, line)] == []
    for noise in ("Traceback", " | INFO", "WARNING", "ERROR", "sqlite", "127.0.0.1", "moov", "flow run"):
        assert noise not in built.out


def test_the_key_is_written_nowhere(built: Finished, run: RunDirectory) -> None:
    key = "sk-do-not-tell-4711"
    assert key not in built.out + built.err
    assert [path for path in run.root.rglob("*") if path.is_file() and key.encode() in path.read_bytes()] == []
    assert "REFSAV_API_KEY" in run.settings.read_text()
