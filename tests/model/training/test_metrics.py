"""Metrics of a training: means over steps, a log that a kill has cut off, trackers."""

import json
from pathlib import Path

import pytest

from refsav.errors import RecordError
from refsav.model.training.loop import Step
from refsav.model.training.metrics import Metrics, MetricsWindow, trackers
from refsav.model.training.step_log import StepLog
from refsav.model.training_config import MetricsConfig


def step(number: int, loss: float = 1.0, seconds: float = 2.0) -> Step:
    terms = {"text": loss, "pixels": 2 * loss, "dice": 3 * loss}
    return Step(
        number=number,
        epoch=number / 10,
        loss=loss,
        terms=terms,
        rate=0.1,
        gradient=4 * loss,
        seconds=seconds,
        waited_s=seconds / 4,
        examples=(),
    )


def test_a_line_is_the_mean_of_the_steps_since_the_last_one() -> None:
    window = MetricsWindow(every=2, batch=8, steps=5)
    noted = [window.add(step(number, loss=number), bad_examples=number) for number in range(1, 6)]
    assert [one and one.step for one in noted] == [None, 2, None, 4, 5]
    lines = [one for one in noted if isinstance(one, Metrics)]
    assert [one.loss for one in lines] == [1.5, 3.5, 5.0]
    assert (lines[1].text, lines[1].pixels, lines[1].dice, lines[1].gradient) == (3.5, 7.0, 10.5, 14.0)
    assert (lines[1].examples_per_s, lines[1].waiting_share, lines[1].bad_examples) == (4.0, 0.25, 4)
    assert window.left_s == 0


def test_the_remaining_time_follows_the_recent_steps() -> None:
    window = MetricsWindow(every=1, batch=1, steps=200)
    for number in range(1, 101):
        window.add(step(number, seconds=100.0 if number <= 50 else 2.0), 0)
    assert window.left_s == 200


def test_metrics_resume_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = StepLog(path, 0)
    for number in range(1, 5):
        first.append({"step": number, "loss": 1.0 / 3})
    with path.open("a") as stream:
        stream.write('{"step": 5, "lo')
    StepLog(path, 3).append({"step": 4, "loss": 2.0})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]
    assert StepLog.read(path)[-1] == {"step": 4, "loss": 2.0}


@pytest.mark.parametrize("line", [b"nothing", b"[]", b'{"loss": 1}', b"3", b"\xff\xff", b'{"step": Infinity}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(RecordError, match=r"metrics.jsonl:line 2: is not what a training writes"):
        StepLog(path, 1)


def test_missing_metrics_are_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"metrics.jsonl: cannot be read: No such file.*\n  fix: give the run"):
        StepLog.read(tmp_path / "metrics.jsonl")


def test_no_other_host_gets_metrics_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    assert trackers(MetricsConfig()) == ["tensorboard"]
    assert trackers(MetricsConfig(trackers="none")) == []
    assert trackers(MetricsConfig(trackers="wandb")) == ["wandb"]


def test_the_last_complete_line_is_read_from_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert StepLog.last(path) == {}
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(1, 5001)) + '{"step": 50')
    assert StepLog.last(path) == {"step": 5000}
