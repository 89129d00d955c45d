"""What a build says at its end names what is there to be used, and nothing else."""

import io
from pathlib import Path

from rich.console import Console

from refsav.datasets.measures import MeasureConfig
from refsav.datasets.official_report import ExportReport, write_reports
from refsav.datasets.run import RunDirectory
from refsav.datasets.statistics import collect
from refsav.summary import print_outcome


def outcome_with(run: RunDirectory, videos: int) -> str:
    run.exports.mkdir(parents=True, exist_ok=True)
    path = run.exports / "Ref-SAV.json"
    path.write_text("{}")
    write_reports(run, [ExportReport(path=path, videos=videos, objects=videos, skipped=())])
    statistics = collect(run, MeasureConfig(), objects_read=0, use=(), gpus_per_request={})
    console = Console(file=io.StringIO(), soft_wrap=True)
    print_outcome(console, run.root, statistics, again="refsav retry RUN")
    return console.file.getvalue()


def test_an_export_without_any_video_is_not_offered(tmp_path: Path) -> None:
    assert "Ref-SAV.json" not in outcome_with(RunDirectory(tmp_path), videos=0)
    assert f"training   {tmp_path}/exports/Ref-SAV.json" in outcome_with(RunDirectory(tmp_path), videos=2)
