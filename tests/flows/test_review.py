"""A review by command: the queue goes out as a sheet, answers come back, and a later build keeps what people said."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.datasets.frames import decode
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.samples import iterate
from refsav.datasets.statistics.run_statistics import read_statistics
from refsav.disk.lock import exclusive
from refsav.flows.review import export_review, import_review
from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]

SMALL = ("--views.longest_side_px", "320", "--views.frames", "4", "--split.val_share", "1", "--no-report.preview")


@pytest.fixture
def built(command: Command, copy_clips: CopyClips, tmp_path: Path) -> tuple[Path, Path]:
    source, run = copy_clips(tmp_path / "source", "vos_000001", "vos_000002"), tmp_path / "run"
    assert command("build", source, run, *SMALL).code == 0
    return source, run


def fill_in(sheet: Path, filled: dict[int, dict[str, str]]) -> None:
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for place, columns in filled.items():
        rows[place] |= columns
    with sheet.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def content(run: Path, *names: str) -> dict[str, bytes]:
    files = [path for name in names for path in sorted((run / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def status_of(run: Path, shards: str) -> list[str]:
    samples = iterate(sorted((run / "shards" / shards).glob("*.tar")))
    return [text.status for sample in samples for one in sample.objects for text in one.texts]


def test_a_sheet_goes_out_and_comes_back(command: Command, built: tuple[Path, Path], tmp_path: Path) -> None:
    source, run = built
    sheet = tmp_path / "sheet.csv"
    exported = command("review", "export", run, "--sheet", sheet)
    assert exported.code == 0, exported.err
    assert f"3 tasks in {run}/review/queue.jsonl\n  3 rows in {sheet}" in exported.out
    (film, *_) = sorted((run / "review/media").rglob("*.mp4"))
    assert sum(1 for _ in decode(film, [0, 1])) == 2
    queue = content(run, "review")
    assert command("review", "export", run).code == 0
    assert content(run, "review") == queue

    ann = {"annotator": "ann", "answered_at": "2026-11-22T10:00"}
    fill_in(
        sheet,
        {
            0: {"verdict": "accept", "short_text": "the first one", **ann},
            1: {"verdict": "reject", "reasons": "wrong object", **ann},
            2: {"verdict": "fix", **ann},
        },
    )
    imported = command("review", "import", run, sheet)
    assert imported.code == 0, imported.err
    assert "2 new answers" in imported.out
    assert "1 accepted, 0 edited, 1 rejected, 1 waiting; 1 short expressions" in imported.out
    assert "reasons: wrong object 1" in imported.out
    assert f"problem    {sheet}:row 4: the corrected text is empty; fix:" in imported.out
    assert sorted(status_of(run, "val-long")) == ["accepted", "candidate"]
    assert status_of(run, "val-short") == ["accepted"]
    counts = read_statistics(RunDirectory(run)).review
    assert (counts.accepted, counts.edited, counts.rejected, counts.candidates) == (1, 0, 1, 1)

    kept = content(run, "shards", "exports", "review")
    again = command("review", "import", run, sheet)
    assert "0 new answers" in again.out and content(run, "shards", "exports", "review") == kept
    assert command("build", source, run, *SMALL).code == 0
    assert content(run, "shards", "exports", "review") == kept
    shown = command("stats", run)
    assert "What people say" in shown.out and "Accepted" in shown.out


def test_what_cannot_be_reviewed_is_one_clear_line(
    command: Command, built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run = built
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    nothing = command("review", "export", tmp_path / "nothing")
    assert nothing.code == 1 and "not a run directory" in nothing.err
    early = command("review", "push", run)
    assert early.code == 1 and "queue.jsonl: cannot be read" in early.err and "refsav review export RUN" in early.err
    assert "send the queue first: refsav review push RUN" in command("review", "pull", run).err
    assert "give a file that ends in .csv or .jsonl" in command("review", "import", run, tmp_path / "x.ods").err
    (run / "splits.parquet").unlink()
    assert "finish the build of this run first" in command("review", "export", run).err


def test_while_another_process_works_on_the_run_nothing_is_done(command: Command, built: tuple[Path, Path]) -> None:
    _, run = built
    with exclusive(run):
        exported, imported = (flow(run, return_state=True) for flow in (export_review, import_review))
        reported = command("review", "export", run)
    assert (exported.name, imported.name) == ("Busy", "Busy")
    assert reported.code == 1 and "is working on this run" in reported.err and "Traceback" not in reported.err


def test_a_lost_video_is_reported_and_the_others_are_reviewed(command: Command, built: tuple[Path, Path]) -> None:
    source, run = built
    (source / "vos_000002.mp4").unlink()
    exported = command("review", "export", run)
    assert exported.code == 0, exported.err
    assert "problem    vos_000002.mp4: is not in the source any more; fix: bring it back" in exported.out
    assert "2 tasks in" in exported.out
