"""Suites by name: an entry is all that a new suite needs besides its module."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from refsav.api.benchmark import run_benchmark
from refsav.benchmarks.result import Setup
from refsav.benchmarks.suite_runner import run_suite
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.registry import SUITES, SuiteEntry, open_suite
from refsav.benchmarks.suites.video_suites import VIDEO_SUITES
from refsav.errors import ConfigError
from tests.support.data.image_sets import LEFT, RIGHT, mask_of, write_images
from tests.support.models.answering import Knowing

EXAMPLE = Path(__file__).with_name("example_suite.py")


@pytest.fixture
def named_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register the example, and write a dataset for it: two images with the mask of one box each."""
    entry = SuiteEntry(path="tests.benchmarks.suites.example_suite:open_named_images")
    monkeypatch.setitem(SUITES, "named-images", entry)
    folder = write_images(tmp_path / "shapes", ["red box.png", "blue box.png"])
    for name, box in (("red box", LEFT), ("blue box", RIGHT)):
        cv2.imwrite(str(folder / f"{name}.mask.png"), 255 * mask_of(box).astype(np.uint8))
    return folder


def test_every_entry_names_a_function_and_options_that_exist() -> None:
    for entry in SUITES.values():
        assert callable(entry.load())
        assert entry.options <= set(SuiteOptions.__slots__)
    assert [name for name, entry in SUITES.items() if entry.is_video] == list(VIDEO_SUITES)
    assert [name for name, entry in SUITES.items() if "control" in entry.options] == [
        name for name, suite in VIDEO_SUITES.items() if not suite.for_server
    ]


def test_a_new_suite_scores_answers_with_one_entry(named_images: Path, tmp_path: Path) -> None:
    suite = open_suite("named-images", named_images)
    left = mask_of(LEFT)[None]
    answerer = Knowing({("red box", "red box"): [left], ("blue box", "blue box"): [left]})
    result = run_suite(suite, answerer, tmp_path / "run", Setup.of(suite, 2, "x", "0", {}))
    assert result.scores == {"overall": {"mIoU": 50.0}}
    assert pq.read_table(tmp_path / "run/scores.parquet").to_pylist() == [
        {"number": 0, "expression": "blue box", "iou": 0.0},
        {"number": 0, "expression": "red box", "iou": 1.0},
    ]
    with pytest.raises(ConfigError, match="named-images takes no such option"):
        open_suite("named-images", named_images, SuiteOptions(tokenizer="plain"))


def test_a_new_suite_runs_with_a_checkpoint(checkpoint: Path, named_images: Path, tmp_path: Path) -> None:
    result = run_benchmark(checkpoint, named_images, "named-images", tmp_path / "run")
    assert (result.setup.suite, result.rows, result.failed) == ("named-images", 2, ())
    assert 0 <= result.scores["overall"]["mIoU"] <= 100
    assert (tmp_path / "run/result.json").is_file()


def test_the_example_is_short_enough_to_be_read_in_the_docs() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
