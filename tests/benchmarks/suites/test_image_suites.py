"""RefCOCO's suites: cIoU and gIoU of every split, all masks of an answer taken together."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.benchmarks.result import Setup
from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of, run_suite
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.registry import open_suite
from refsav.datasets.external.refcoco import RefCocoSet
from refsav.errors import ConfigError, RecordError
from tests.support.data import image_sets as made
from tests.support.models.answering import Knowing

NAMES = {"refcoco": 4, "refcoco+": 4, "refcocog": 3}


def known(images: int, left: list[np.ndarray], right: list[np.ndarray]) -> Knowing:
    """Answers for all images, by the side that is asked for."""
    names = [f"COCO_train2014_{number:012d}" for number in range(1, images + 1)]
    return Knowing({(name, side): masks for name in names for side, masks in (("left", left), ("right", right))})


def perfect(images: int) -> Knowing:
    return known(images, [made.mask_of(made.LEFT)[None]], [made.mask_of(made.RIGHT)[None]])


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_perfect_in_every_split(tmp_path: Path, name: RefCocoSet) -> None:
    folder = made.write_refcoco(tmp_path / "set", name, "umd" if name == "refcocog" else "unc")
    suite = open_suite(name, folder)
    answerer = perfect(NAMES[name])
    result = run_suite(suite, answerer, tmp_path / "run", Setup.of(suite, len(suite.dataset), "truth", "0", {}))
    splits = {"val", "test"} if name == "refcocog" else {"val", "testA", "testB", "test"}
    assert result.scores == {split: {"cIoU": 100.0, "gIoU": 100.0} for split in splits}
    assert result.rows == 3 * len(suite.dataset)
    assert {prompts[0] for _, prompts in answerer.asked} == {"<image>\n Please segment left box in this image."}


def test_figures_are_those_of_the_definitions(tmp_path: Path) -> None:
    suite = open_suite("refcoco", made.write_refcoco(tmp_path / "set"), SuiteOptions(splits=("val",)))
    both, nothing = made.mask_of(made.LEFT, made.RIGHT), np.zeros((made.HEIGHT, made.WIDTH), np.bool_)
    answerer = known(4, [both[None]], [nothing[None]])
    result = run_suite(suite, answerer, tmp_path / "run", Setup.of(suite, 1, "x", "0", {}))
    left, right = made.mask_of(made.LEFT).sum(), made.mask_of(made.RIGHT).sum()
    ious = [left / (left + right), left / (left + right), 0]  # two sentences mean the left box
    assert result.scores == {
        "val": {
            "cIoU": pytest.approx(100 * 2 * left / (2 * (left + right) + right)),
            "gIoU": pytest.approx(100 * np.mean(ious)),
        }
    }


def test_masks_of_an_answer_are_taken_together_and_none_is_an_empty_one(tmp_path: Path) -> None:
    suite = open_suite("refcoco", made.write_refcoco(tmp_path / "set"), SuiteOptions(splits=("val",)))
    upper, lower = made.mask_of((6, 10, 22, 18))[None], made.mask_of((6, 16, 22, 30))[None]
    result = run_suite(suite, known(4, [upper, lower], []), tmp_path / "run", Setup.of(suite, 1, "x", "0", {}))
    rows = list(rows_of(BenchmarkDirectory(tmp_path / "run"), suite))
    assert [row.score.iou for row in rows] == [1, 1, 0]
    assert [row.has_mask for row in rows] == [True, True, False]
    assert result.without_mask == 1
    assert (rows[2].mask, rows[2].intersection_px) == ("", 0)


def test_an_image_of_another_size_is_reported(tmp_path: Path) -> None:
    folder = made.write_refcoco(tmp_path / "set")
    picture = next((tmp_path / "set/train2014").glob("*2.jpg"))
    cv2.imwrite(str(picture), np.zeros((10, 12, 3), np.uint8))
    suite = open_suite("refcoco", folder)
    with pytest.raises(RecordError, match=r"2\.jpg: is 10x12, the annotations say 48x64"):
        suite.measure(perfect(4), suite.dataset.read(0))


def test_options_of_other_suites_are_refused(tmp_path: Path) -> None:
    reported = "--shuffled is not for refcoco\n  fix: leave it out; refcoco takes --images, --split"
    with pytest.raises(ConfigError, match=f"{reported}$"):
        open_suite("refcoco", tmp_path, SuiteOptions(control="shuffled"))
    with pytest.raises(ConfigError, match="choose one of ref-sav, "):
        open_suite("refclef", tmp_path)
