"""`refsav train`: what it prints, what it writes, and how it reports errors."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from refsav.cli.main import main
from refsav.model.sa2va import Sa2VA
from tests.support.command import Finished
from tests.support.data.training_data import write_config

Command = Callable[..., Finished]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["refsav", "train", *map(str, arguments), "--cpu"])
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        return Finished(int(exited.value.code or 0), printed.out, printed.err)

    return run


def test_a_training_reports_its_progress_and_where_the_model_is(train: Command, tmp_path: Path) -> None:
    config, run = write_config(tmp_path, steps=3), tmp_path / "run"
    (tmp_path / "faster.toml").write_text("[learning]\nrate = 1e-3\n")
    (tmp_path / "images-of-mine/images/5.png").write_bytes(b"no picture")
    line = (config, run, "--with", tmp_path / "faster.toml", "--watching.trackers", "tensorboard")
    done = train(*line, "--checkpoints.every", "2")
    assert done.code == 0, done.err
    assert re.search(
        r"step 2/3  loss \d\.\d{3} \(text \d\.\d{3}, pixels \d\.\d{3}, dice \d\.\d{3}\)  "
        r"\d+\.\d examples/s, \d+% waiting  \d\.\d GB  0 min \d\d s left\n",
        done.err,
    )
    assert "skipped: own-images: " in done.err and "5.png" in done.err
    assert re.fullmatch(
        rf"steps: 3, 1.0 epochs\nlast loss: .*\nmodel: {re.escape(str(run))}/model\n\n"
        rf'Next: refsav predict {re.escape(str(run))}/model IMAGE "text"\n',
        done.out,
    )
    lines = [json.loads(one) for one in (run / "metrics.jsonl").read_text().splitlines()]
    assert [one["rate"] for one in lines] == [1e-3, 1e-3, 5e-4] and lines[-1]["bad_examples"] >= 1
    assert any((run / "curves/refsav").glob("events.out.tfevents.*"))
    skipped = [json.loads(one) for one in (run / "left_out.jsonl").read_text().splitlines()]
    assert len(skipped) == lines[-1]["bad_examples"]
    assert (skipped[0]["source"], skipped[0]["held_out"]) == ("own-images", False) and "5.png" in skipped[0]["error"]
    assert Sa2VA.from_pretrained(run / "model", device="cpu")
    again = train(*line)
    assert (again.code, again.out) == (0, f"trained already: {run}/model\n")
    longer = train(*line, "--learning.steps", "6")
    assert longer.code == 1 and "started with other settings\n  learning.steps: was 3, now 6" in longer.err


def test_too_many_bad_examples_end_it_with_the_first_of_them(train: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path, steps=3)
    Image.new("RGB", (10, 10)).save(tmp_path / "images-of-mine/images/5.png")
    done = train(config, tmp_path / "run", "--data.bad_share", "0")
    assert done.code == 1
    assert "error: 1 examples cannot be used" in done.err and "annotations.json" in done.err
    assert "fix: correct the source that is listed first, leave it out, or raise data.bad_share" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (("--data.without", "own-images"), "the data has no examples"),
        (("--learning.batch", "5", "--learning.at_once", "2"), "learning.batch (5) is no multiple"),
        (("--learning.rate", "-1"), "learning.rate: Input should be greater than 0"),
        (("--model.origin", "nowhere"), "nowhere: there is no such directory"),
        (("--learning.most_tokens", "64"), "examples in a row cannot be used with this model"),
    ],
)
def test_what_cannot_be_used_is_reported(
    train: Command, tmp_path: Path, changes: tuple[str, ...], problem: str
) -> None:
    done = train(write_config(tmp_path), tmp_path / "run", *changes)
    assert done.code == 1 and problem in done.err and "Traceback" not in done.err, done.err
