"""What the terminal shows of a run: words that fit the numbers, and only what is there to be used."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from refsav.commands.summary import as_typed, print_counts, print_outcome
from refsav.datasets.official.export_report import ExportReport, write_reports
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.properties import MeasureConfig
from refsav.datasets.statistics.run_statistics import collect


def outcome_with(run: RunDirectory, videos: int) -> str:
    run.exports.mkdir(parents=True, exist_ok=True)
    path = run.exports / "Ref-SAV.json"
    path.write_text("{}")
    write_reports(run, [ExportReport(path=path, videos=videos, objects=videos, skipped=())])
    statistics = collect(run, MeasureConfig(), objects_read=0, use=(), gpus_per_request={})
    written = io.StringIO()
    print_outcome(Console(file=written, soft_wrap=True), run.root, statistics, again="refsav retry RUN")
    return written.getvalue()


def test_an_export_without_any_video_is_not_offered(tmp_path: Path) -> None:
    assert "Ref-SAV.json" not in outcome_with(RunDirectory(tmp_path), videos=0)
    assert f"training   {tmp_path}/exports/Ref-SAV.json" in outcome_with(RunDirectory(tmp_path), videos=2)


@pytest.mark.parametrize(("files", "word"), [(1, "1 file of which"), (2, "2 files of which")])
def test_one_file_is_reported_in_the_singular(tmp_path: Path, files: int, word: str) -> None:
    counted = collect(RunDirectory(tmp_path), MeasureConfig(), objects_read=0, use=(), gpus_per_request={})
    written = io.StringIO()
    print_counts(Console(file=written, width=200), replace(counted, unreadable_files=files))
    assert f" {word} no object could be listed\n" in written.getvalue()


def test_a_command_is_named_so_that_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert as_typed(".venv/bin/refsav") == ".venv/bin/refsav"
    assert as_typed("/my work/bin/refsav") == "'/my work/bin/refsav'"
    assert as_typed("/usr/lib/refsav/__main__.py") == "refsav"
    (tmp_path / "refsav").touch(0o755)
    assert as_typed(".venv/bin/refsav") == "refsav"
