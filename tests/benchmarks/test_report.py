"""Results are compared with published scores; the file of published scores is complete and names its sources."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from refsav.benchmarks.published_figures import FILE, published_rows
from refsav.benchmarks.report import as_markdown, as_table, compare
from refsav.benchmarks.result import BenchmarkResult, Setup
from refsav.benchmarks.speed.latency import PAPER_SECONDS
from refsav.benchmarks.suites.registry import SUITES

SETUP = Setup(
    version="1",
    suite="ref-sav",
    protocol="as the script",
    dataset="Ref-SAV valid",
    dataset_digest="d" * 64,
    items=4,
    dataset_items=4,
    checkpoint="mine",
    checkpoint_digest="c" * 64,
    settings={"key_frames": "first-5", "propagation": "official"},
)
FIGURES = {"J": 50.0, "F": 60.0, "J&F": 55.0}
RESULT = BenchmarkResult(
    setup=SETUP,
    scores={"long": FIGURES, "short": FIGURES, "overall": FIGURES},
    rows=12,
    without_mask=2,
    failed=("videos/a/00000.jpg: is missing; fix: unpack it",),
)


def test_published_scores_are_shown_with_the_difference() -> None:
    comparison = compare({"mine": RESULT})
    rows = {row[0]: row for row in comparison.rows}
    assert rows["mine"][1:4] == ("50.0", "60.0", "55.0")
    assert rows["mine"][-1] == "this run, incomplete"
    fine_tuned = rows["Sa2VA-8B (ft)"]
    assert fine_tuned[1] == "57.0 (-7.0)"
    assert fine_tuned[9] == "50.0 (+5.0)"
    assert fine_tuned[-1] == "Sa2VA v1, Table 5"
    assert any("not scored: videos/a/00000.jpg: is missing" in note for note in comparison.notes)
    assert "Sa2VA v1: arXiv 2501.04001v1" in comparison.notes
    assert any("12 prompts in 3 of 4 items, 2 answers without a mask" in note for note in comparison.notes)


def test_it_is_written_as_markdown_and_drawn_for_the_terminal() -> None:
    comparison = compare({"mine": RESULT})
    text = as_markdown(comparison)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| long J | long F | long J&F |" in text
    assert "- protocol: as the script" in text
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(as_table(comparison))
    assert "57.0 (-7.0)" in console.export_text()


def test_several_runs_of_a_suite_share_a_table_and_others_do_not() -> None:
    other = replace(RESULT, scores={"long": FIGURES})
    rows = compare({"first-5": RESULT, "uniform-5": other}).rows
    assert [row[0] for row in rows[:2]] == ["first-5", "uniform-5"]
    assert rows[1][4] == "–"
    with pytest.raises(ValueError, match="cannot stand in one table"):
        compare({"a": RESULT, "b": replace(RESULT, setup=replace(SETUP, suite="revos"))})


def test_a_suite_that_a_server_scores_shows_what_is_published() -> None:
    setup = replace(SETUP, suite="mevis-val")
    comparison = compare({"mine": replace(RESULT, setup=setup, scores={}, failed=())})
    assert comparison.rows[0] == ("mine", "–", "this run")
    assert ("Sa2VA-i-26B", "63.2", "Sa2VA-i, highlights") in comparison.rows


def test_every_published_figure_is_of_a_suite_and_a_sane_number() -> None:
    content = FILE.read_text(encoding="utf-8")
    assert "seen = " in content
    for suite in SUITES:
        for row in published_rows(suite):
            assert row.source
            assert all(0 < value <= 100 for value in row.figures.values()), row
    of_ref_sav = [row for row in published_rows("ref-sav") if row.model == "Sa2VA-8B (zs)"]
    assert of_ref_sav[0].figures["overall", "J&F"] == 41.3


def test_the_file_of_figures_is_packaged() -> None:
    assert Path(FILE).parent.name == "benchmarks"


def test_the_papers_seconds_of_a_call_stand_in_the_file_too() -> None:
    assert {row.model: row.figures["call", "seconds"] for row in published_rows("speed")} == PAPER_SECONDS
    assert PAPER_SECONDS == {"1B": 0.123, "4B": 0.282, "8B": 0.201}
