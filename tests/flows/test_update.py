"""A scheduled build: what is new is described and nothing else, nothing new is nothing done, one works at a time."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from refsav.annotators.engines.journal import read_entries
from refsav.datasets.run.parts import read_expressions
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.disk.lock import exclusive
from refsav.flows.config.build import BuildConfig
from refsav.flows.update import update_ref_sav

pytestmark = pytest.mark.usefixtures("prefect_server")
CONFIG = BuildConfig.from_mapping(
    {"views": {"longest_side_px": 320, "frames": 4}, "report": {"preview": False}}, "test"
)
Update = Callable[[], State[Any]]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Three small videos, and a fourth that lies elsewhere yet."""
    list(write_scenes(tmp_path / "all", SynthConfig(videos=4, height=120, width=160, frames=16)))
    source = tmp_path / "source"
    shutil.copytree(tmp_path / "all", source)
    for path in sorted(source.rglob(f"{videos_of(source)[-1]}*")):
        path.unlink()
    return source


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def update(scenes: Path, run: RunDirectory) -> Update:
    return lambda: update_ref_sav(scenes, run.root, CONFIG, return_state=True)


def videos_of(source: Path) -> list[str]:
    return [entry.video_id for entry in discover(source, SourceConfig())]


def paid(run: RunDirectory) -> int:
    return sum(1 for journal in run.journal.glob("*") for _ in read_entries(journal))


def described(run: RunDirectory) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for one in read_expressions(run):
        found.setdefault(one.track.video_id, set()).add(one.track.masklet_id)
    return found


def times(run: RunDirectory) -> dict[str, int]:
    files = [path for path in run.root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(run.root)): path.stat().st_mtime_ns for path in files}


def test_nothing_new_is_nothing_done_and_a_new_video_is_described_alone(
    scenes: Path, run: RunDirectory, update: Update
) -> None:
    assert update().name == "Completed"
    first, before = described(run), times(run)
    again = update()
    assert (again.type.value, again.name) == ("COMPLETED", "NothingNew")
    assert again.message == f"{scenes}: no new video, none changed"
    assert times(run) == before

    shutil.copytree(scenes.parent / "all", scenes, dirs_exist_ok=True)
    assert update().name == "Completed"
    (new,) = described(run).keys() - first.keys()
    assert new == videos_of(scenes)[-1]
    parts = [name for name in before if name.endswith("bundle-000000.parquet") or name.startswith("journal")]
    after = times(run)
    assert [name for name in parts if after[name] != before[name]] == []
    samples = [json.loads(path.read_text())["samples"] for path in run.shards.glob("*/index.json")]
    assert sum(samples) == 4
    assert update().name == "NothingNew"


def test_a_changed_annotation_is_described_again_and_only_what_changed_is_paid(
    scenes: Path, run: RunDirectory, update: Update
) -> None:
    update()
    words, cost = {one.track.key: one.text for one in read_expressions(run)}, paid(run)
    path = sorted(scenes.rglob("*_manual.json"))[0]
    os.utime(path)
    assert update().name == "NothingNew", "touched, not changed"

    content = json.loads(path.read_text())
    assert len(content["masklet_id"]) > 1
    for row in content["masklet"]:
        row.pop()
    content["masklet_id"].pop()
    path.write_text(json.dumps(content))
    assert update().name == "Completed"
    after = {one.track.key: one.text for one in read_expressions(run)}
    gone = words.keys() - after.keys()
    assert all(key.video_id == content["video_id"] for key in gone) and len(gone) <= 1
    assert all(after[key] == words[key] for key in after if key in words)
    assert paid(run) == cost, "an object less: every request that is left was made before"
    statistics = json.loads(run.stats.read_text())
    assert statistics["objects_read"] == statistics["expressions"] + statistics["dropped"] + statistics["failed"]
    assert update().name == "NothingNew"


def test_a_build_killed_after_captioning_is_resumed(run: RunDirectory, update: Update) -> None:
    update()
    run.finished.unlink()
    (run.exports / "Ref-SAV.json").unlink()
    assert update().name == "Completed"
    assert (run.exports / "Ref-SAV.json").exists()
    assert update().name == "NothingNew"


def test_who_works_on_the_run_is_named_and_nothing_is_done(run: RunDirectory, update: Update) -> None:
    with exclusive(run.root):
        busy = update()
    assert (busy.type.value, busy.name) == ("COMPLETED", "Busy")
    assert busy.message == f"{run.root}: process {os.getpid()} on {os.uname().nodename} is working on this run"
    assert not run.settings.exists()


def test_a_folder_without_videos_is_no_failure_and_one_that_is_not_there_is_one(
    tmp_path: Path, run: RunDirectory
) -> None:
    (tmp_path / "empty").mkdir()
    assert update_ref_sav(tmp_path / "empty", run.root, CONFIG, return_state=True).name == "NothingNew"
    lost = update_ref_sav(tmp_path / "lost", run.root, CONFIG, return_state=True)
    assert lost.name == "Failed"
    assert "there is no such folder" in str(lost.message)
