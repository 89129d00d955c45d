"""From a bundle to its parts, on real videos: counts add up, no kill loses or doubles a thing."""

import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts, mark_for_retry, settle_engines
from refsav.annotators.bundles.plan import extend_plan
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.journal import read_entries
from refsav.annotators.stages.views import ViewsConfig
from refsav.datasets.records import Stage
from refsav.datasets.run.parts import is_done, read_dropped, read_expressions, read_failed, read_unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.datasets.statistics.properties import read_measures
from refsav.disk.files import DiskError
from refsav.processes.cancellation import LateError

BUNDLE = "bundle-000000"
CopyClips = Callable[..., Path]


class Told:
    """What a progress bar receives."""

    def __init__(self) -> None:
        self.videos: list[tuple[int, int]] = []
        self.stages: Counter[Stage] = Counter()
        self.outcomes: Counter[str] = Counter()

    def video_read(self, objects: int, left_out: int) -> None:
        self.videos.append((objects, left_out))

    def stage_done(self, stage: Stage) -> None:
        self.stages[stage] += 1

    def object_done(self, outcome: str) -> None:
        self.outcomes[outcome] += 1


@pytest.fixture(scope="module")
def config() -> AnnotationConfig:
    vlm, judge = asyncio.run(settle_engines(EngineConfig(), EngineConfig()))
    return AnnotationConfig(vlm=vlm, judge=judge, views=ViewsConfig(longest_side_px=320, frames=4))


@pytest.fixture
def source(copy_clips: CopyClips, tmp_path: Path) -> Path:
    """Two real videos: two objects and one."""
    return copy_clips(tmp_path / "source", "vos_000001", "vos_000002")


def planned(folder: Path, source: Path) -> RunDirectory:
    run = RunDirectory(folder)
    list(extend_plan(run, source, discover(source, SourceConfig()), 16))
    return run


def parts(run: RunDirectory) -> dict[str, bytes]:
    """Every part of a run by name."""
    folders = (run.expressions, run.dropped, run.failed, run.unreadable, run.measures)
    return {f"{folder.name}/{path.name}": path.read_bytes() for folder in folders for path in sorted(folder.iterdir())}


def outcome(run: RunDirectory) -> dict[str, int]:
    return {
        "expressions": sum(1 for _ in read_expressions(run)),
        "dropped": sum(1 for _ in read_dropped(run)),
        "failed": sum(1 for _ in read_failed(run)),
        "read": sum(video.objects for video in read_measures(run)),
    }


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_the_disk_has_every_reply_before_a_part_and_every_part_before_the_bundle_counts_as_done(
    config: AnnotationConfig, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(tmp_path / "run", source)
    flushed: list[Path] = []
    replies: list[int] = []

    def watched(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        flushed.append(path.relative_to(run.root))
        if path.suffix == ".jsonl":
            replies.append(sum(1 for _ in read_entries(path)))

    monkeypatch.setattr(os, "fsync", watched)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    files = [path.parts[0] for path in flushed if path.suffix in (".jsonl", ".part")]
    assert files == ["journal", "measures", "expressions", "dropped", "unreadable", "failed"]
    assert replies == [sum(1 for _ in read_entries(run.journal / f"{BUNDLE}.jsonl"))]


def break_object(source: Path) -> Callable[[], None]:
    """Damage the second object of vos_000001; the function that comes back repairs it."""
    path = source / "vos_000001_manual.json"
    sound = path.read_bytes()
    content = json.loads(sound)
    content["masklet"][5][1]["size"] = [1, 1]
    path.write_text(json.dumps(content))
    return lambda: path.write_bytes(sound) and None


def test_every_object_of_a_real_video_is_accounted_for(
    copy_clips: CopyClips, config: AnnotationConfig, tmp_path: Path
) -> None:
    source = copy_clips(tmp_path / "source", "sav_000001_head", "vos_000001")
    run, reported = planned(tmp_path / "run", source), Told()
    annotate_to_parts(run, source, BUNDLE, config, reported)
    counts = outcome(run)
    assert counts["expressions"] + counts["dropped"] + counts["failed"] == counts["read"] == 15
    assert counts["failed"] == 0
    assert (sorted(reported.videos), reported.outcomes.total()) == ([(2, 0), (13, 0)], 15)
    assert reported.outcomes["kept"] == reported.stages["scene"] == reported.stages["video"] == counts["expressions"]
    assert reported.stages["object"] == reported.stages["judge"] == 15
    keys = [one.track.key for one in read_expressions(run)] + [one.track.key for one in read_dropped(run)]
    assert len(set(keys)) == 15
    assert all(one.text and one.provenance == config.provenance for one in read_expressions(run))
    assert all(video.camera_speed is not None for video in read_measures(run))


def test_the_same_bundle_gives_the_same_bytes(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    runs = [planned(tmp_path / name, source) for name in ("one", "two")]
    for run in runs:
        annotate_to_parts(run, source, BUNDLE, config, Told())
    assert parts(runs[0]) == parts(runs[1])


def test_a_done_bundle_is_left_alone(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    before = parts(run)
    (source / "vos_000001.mp4").unlink()  # it would fail now
    reported = Told()
    annotate_to_parts(run, source, BUNDLE, config, reported)
    assert parts(run) == before
    assert reported.videos == []


def test_a_late_bundle_fails_and_is_resumed(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    run = planned(tmp_path / "run", source)
    with pytest.raises(LateError, match=rf"{BUNDLE}: not done after 0 s\n  fix: .* runner.bundle_timeout_s"):
        annotate_to_parts(run, source, BUNDLE, config, Told(), within_s=0.01)
    assert not is_done(run, BUNDLE)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert is_done(run, BUNDLE)


def test_parts_that_were_lost_come_back_from_the_journal(
    source: Path, config: AnnotationConfig, tmp_path: Path
) -> None:
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    before, paid = parts(run), (run.journal / f"{BUNDLE}.jsonl").read_bytes()
    (run.failed / f"{BUNDLE}.parquet").unlink()
    (run.expressions / f"{BUNDLE}.parquet").unlink()
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert parts(run) == before
    assert (run.journal / f"{BUNDLE}.jsonl").read_bytes() == paid


def test_retry_takes_up_the_failed_objects_only(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    undisturbed = planned(tmp_path / "undisturbed", source)
    annotate_to_parts(undisturbed, source, BUNDLE, config, Told())
    repair = break_object(source)
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    (failed,) = read_failed(run)
    assert "masklet[5][1]: mask is 1x1, the video 384x640" in failed.error
    first = {entry["digest"] for entry in read_entries(run.journal / f"{BUNDLE}.jsonl")}

    repair()
    reported = Told()
    assert mark_for_retry(run) == 1
    assert not is_done(run, BUNDLE)
    annotate_to_parts(run, source, BUNDLE, config, reported)
    assert reported.outcomes.total() == 1
    assert list(run.failed.glob("*.retry")) == []
    digests = [entry["digest"] for entry in read_entries(run.journal / f"{BUNDLE}.jsonl")]
    assert len(digests) == len(set(digests)) > len(first)
    assert parts(run) == parts(undisturbed)


def test_retry_of_a_run_without_losses_opens_nothing(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert mark_for_retry(run) == 0
    assert is_done(run, BUNDLE)


def test_retry_takes_up_a_file_that_could_not_be_read(source: Path, config: AnnotationConfig, tmp_path: Path) -> None:
    path = source / "vos_000001_manual.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert [one.path for one in read_unreadable(run)] == ["vos_000001_manual.json"]
    assert outcome(run)["read"] == 1
    path.write_bytes(whole)
    assert mark_for_retry(run) == 0  # no object of it is known yet
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert outcome(run)["read"] == outcome(run)["expressions"] + outcome(run)["dropped"] == 3
    assert list(read_unreadable(run)) == []


@pytest.mark.parametrize("lost", ["vos_000002.mp4", "vos_000002_manual.json"])
def test_what_was_described_stays_when_its_files_are_lost_before_a_retry(
    source: Path, config: AnnotationConfig, tmp_path: Path, lost: str
) -> None:
    repair = break_object(source)
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    repair()
    (source / lost).unlink()
    assert mark_for_retry(run) == 1
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert outcome(run) == {"expressions": 3, "dropped": 0, "failed": 0, "read": 3}


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


STEPS = ("measures", "expressions", "dropped", "unreadable", "failed", "the mark is taken off")


@pytest.fixture(scope="module")
def half_failed(
    copy_clips: CopyClips, config: AnnotationConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A source that is whole again, and a run of it with one object described and one marked for retry."""
    folder = tmp_path_factory.mktemp("half failed")
    source = copy_clips(folder / "source", "vos_000001")
    repair = break_object(source)
    run = planned(folder / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    repair()
    assert mark_for_retry(run) == 1
    return source, run.root


@pytest.mark.parametrize(
    ("step", "when"), [*((step, "before") for step in STEPS), (STEPS[0], "after"), (STEPS[-1], "after")]
)
def test_a_kill_between_any_two_steps_of_a_retry_loses_and_doubles_nothing(
    half_failed: tuple[Path, Path],
    config: AnnotationConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
) -> None:
    source = half_failed[0]
    run = RunDirectory(shutil.copytree(half_failed[1], tmp_path / "run"))

    rename, unlink = Path.replace, Path.unlink

    def dying_rename(self: Path, target: Path) -> Path:
        dies = Path(target).parent.name == step
        if dies and when == "before":
            raise KilledError
        renamed = rename(self, target)
        if dies:
            raise KilledError
        return renamed

    def dying_unlink(self: Path, missing_ok: bool = False) -> None:
        dies = self.suffix == ".retry" and step == STEPS[-1]
        if dies and when == "before":
            raise KilledError
        unlink(self, missing_ok=missing_ok)
        if dies:
            raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Path, "replace", dying_rename)
        patch.setattr(Path, "unlink", dying_unlink)
        annotate_to_parts(run, source, BUNDLE, config, Told())

    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert outcome(run) == {"expressions": 2, "dropped": 0, "failed": 0, "read": 2}
    assert len({one.track.key for one in read_expressions(run)}) == 2
    assert list(run.failed.glob("*.retry")) == []


def test_an_interrupted_retry_is_counted_when_it_is_repeated(
    source: Path, config: AnnotationConfig, tmp_path: Path
) -> None:
    break_object(source)
    run = planned(tmp_path / "run", source)
    annotate_to_parts(run, source, BUNDLE, config, Told())
    assert mark_for_retry(run) == 1
    assert mark_for_retry(run) == 1


def test_a_place_that_cannot_be_written_is_one_clear_line(
    source: Path, config: AnnotationConfig, tmp_path: Path
) -> None:
    run = planned(tmp_path / "run", source)
    run.journal.write_text("a file where a folder should be")
    with pytest.raises(DiskError, match=r"journal/bundle-000000\.jsonl: cannot be written: .*\n  fix: choose another"):
        annotate_to_parts(run, source, BUNDLE, config, Told())
    assert not is_done(run, BUNDLE)
