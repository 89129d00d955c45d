"""The bench command with a small model: every suite end to end, its output, and what it refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from refsav.benchmarks.sa2va_answerer import Sa2vaAnswerer
from refsav.benchmarks.suites.official_prompts import segment
from refsav.benchmarks.suites.registry import SUITES
from refsav.cli.bench import SuiteName
from refsav.cli.main import main
from refsav.datasets.masks import decode_all
from refsav.model.inference_settings import InferenceSettings
from refsav.model.media.clip import open_frames
from refsav.model.sa2va import Sa2VA
from tests.support.command import Finished
from tests.support.data import expression_sets, image_sets

Command = Callable[..., Finished]

MADE: dict[str, Callable[[Path], Path]] = {
    "ref-sav": expression_sets.write_ref_sav,
    "mevis-val-u": expression_sets.write_mevis,
    "mevis-val": expression_sets.write_mevis,
    "revos": expression_sets.write_revos,
    "ref-youtube-vos": expression_sets.write_ref_youtube_vos,
    "ref-davis17": expression_sets.write_ref_davis17,
    "refcoco": image_sets.write_refcoco,
    "refcoco+": lambda folder: image_sets.write_refcoco(folder, "refcoco+"),
    "refcocog": lambda folder: image_sets.write_refcoco(folder, "refcocog", "umd"),
    "gcg-val": image_sets.write_gcg,
    "gcg-test": image_sets.write_gcg,
    "region-captions": image_sets.write_region_captions,
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process: loading torch in a new one takes longer than the tests."""

    def run(*arguments: str | Path, command: str = "bench") -> Finished:
        usual = ["--device", "cpu", "--new_tokens", "16"] if command == "bench" else []
        monkeypatch.setattr(sys, "argv", ["refsav", command, *map(str, arguments), *usual])
        code = 0
        try:
            main()
        except SystemExit as exited:
            code = int(exited.code or 0)
        printed = capsys.readouterr()
        return Finished(code, printed.out, printed.err)

    return run


def test_the_command_knows_every_suite() -> None:
    assert get_args(SuiteName) == tuple(SUITES) == tuple(MADE)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_runs_end_to_end(
    suite: str, checkpoint: Path, intern_checkpoint: Path, tmp_path: Path, bench: Command
) -> None:
    captions = ["--tokenizer", "plain"] if suite in ("gcg-val", "gcg-test", "region-captions") else []
    model = intern_checkpoint if suite == "region-captions" else checkpoint
    run = ["--suite", suite, "--out", tmp_path / "run", "--limit", "1"]
    done = bench(model, MADE[suite](tmp_path / "set"), *run, *captions)
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["setup"]["suite"], result["failed"]) == (suite, [])
    assert len(result["setup"]["dataset_digest"]) == len(result["setup"]["checkpoint_digest"]) == 64
    assert result["setup"]["settings"]["key_frames"] == "first-5"
    rows = pq.read_table(tmp_path / "run/scores.parquet")
    assert result["rows"] == len(rows) > 0
    assert str(tmp_path) not in (tmp_path / "run/result.json").read_text()
    if suite in ("mevis-val", "ref-youtube-vos"):
        assert (tmp_path / "run/submission.zip").is_file()
        assert result["scores"] == {}
    else:
        assert all(0 <= value <= 1000 for group in result["scores"].values() for value in group.values())
        assert suite in (tmp_path / "run/report.md").read_text()


def test_a_submission_says_which_videos_it_is_without(checkpoint: Path, tmp_path: Path, bench: Command) -> None:
    folder = expression_sets.write_mevis(tmp_path / "set")
    (folder / "valid/JPEGImages/a_first/00010.jpg").unlink()
    run = ["--suite", "mevis-val", "--out", tmp_path / "run"]
    assert bench(checkpoint, folder, *run).code == 1
    done = bench(checkpoint, folder, *run, "--failed-share", "0.5")
    assert done.code == 0, done.err
    assert "submission.zip, without 1 of 2 videos\n  not in it: " in done.out
    assert "a_first/00010.jpg: " in done.out


def test_a_video_without_expressions_is_asked_nothing(checkpoint: Path, tmp_path: Path, bench: Command) -> None:
    folder = expression_sets.write_ref_sav(tmp_path / "set")

    def empty(content: dict) -> None:
        content["videos"]["b_second"]["expressions"] = {}

    expression_sets.change_json(folder / "meta_expressions_valid.json", empty)
    done = bench(checkpoint, folder, "--suite", "ref-sav", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["rows"], result["failed"]) == (3, [])


def test_masks_are_those_of_a_single_call(checkpoint: Path, tmp_path: Path) -> None:
    folder = expression_sets.write_ref_sav(tmp_path)
    model = Sa2VA.from_pretrained(checkpoint, device="cpu")
    clip = open_frames(sorted((folder / "videos/a_first").iterdir()), "a_first")
    settings = model.resolve_settings(InferenceSettings(new_tokens=16))
    prompts = [segment(text, video=True) for text in ("red box", "what is blue?")]
    answers = Sa2vaAnswerer(model, settings).ask(clip, prompts, first_only=True)
    for answer, prediction in zip(answers, model.predict_all(clip, prompts, settings=settings), strict=True):
        assert answer.text == prediction.text
        (masks,) = answer.masks
        assert (decode_all(masks, (clip.height, clip.width)) == prediction.segments[0].masks).all()


def test_key_frames_are_compared_by_one_command(
    checkpoint: Path, tmp_path: Path, bench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refsav.commands.bench.KEY_FRAME_RULES", ("first-1", "uniform-3"))
    folder = expression_sets.write_mevis(tmp_path / "set")
    run = ["--suite", "mevis-val-u", "--out", tmp_path / "run", "--limit", "1", "--predictions"]
    done = bench(checkpoint, folder, *run, "--ablate", "key-frames")
    assert done.code == 0, done.err
    for rule in ("first-1", "uniform-3"):
        result = json.loads((tmp_path / f"run/{rule}/result.json").read_text())
        assert (result["setup"]["settings"]["key_frames"], result["setup"]["items"]) == (rule, 1)
        assert (tmp_path / f"run/{rule}/predictions.json").is_file()
    table = (tmp_path / "run/report.md").read_text()
    assert "| first-1 |" in table and "| uniform-3 |" in table
    again = bench(tmp_path / "run/first-1", tmp_path / "run/uniform-3", command="bench-report")
    assert again.code == 0 and "uniform-3" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "ref-sav"], "meta_expressions_valid.json: is missing"),
        (["--suite", "refcoco", "--predictions"], "--predictions is for video suites, not refcoco"),
        (["--suite", "gcg-val", "--ablate", "key-frames"], "--ablate key-frames is for video suites"),
        (
            ["--suite", "mevis-val-u", "--split", "val"],
            "--split is not for mevis-val-u\n  fix: leave it out; mevis-val-u takes --shuffled",
        ),
        (
            ["--suite", "mevis-val", "--shuffled"],
            "--shuffled is not for mevis-val\n  fix: leave it out; mevis-val takes no such option",
        ),
        (["--suite", "ref-sav", "--key_frames", "sometimes"], "meta_expressions_valid.json"),
    ],
)
def test_wrong_options_are_reported_before_a_model_is_loaded(
    arguments: list[str], message: str, tmp_path: Path, bench: Command
) -> None:
    done = bench(tmp_path / "no-checkpoint", tmp_path, *arguments, "--out", tmp_path / "run")
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()


def test_regions_need_a_family_that_knows_them(checkpoint: Path, tmp_path: Path, bench: Command) -> None:
    folder = image_sets.write_region_captions(tmp_path / "set")
    done = bench(checkpoint, folder, "--suite", "region-captions", "--tokenizer", "plain", "--out", tmp_path / "run")
    assert done.code == 1
    assert "1 of 2 items cannot be used" in done.err
    assert "region" in done.err
