"""Suites of words: grounded captions with their masks, and captions of regions."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from refsav.benchmarks.result import BenchmarkResult, Setup
from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of, run_suite
from refsav.benchmarks.suites import official_prompts as wordings
from refsav.benchmarks.suites.caption_suites import gcg_suite
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.registry import open_suite
from refsav.benchmarks.suites.suite import AnySuite
from tests.support.data import image_sets as made
from tests.support.models.answering import Knowing

CAPTION = "A <p> red box </p> [SEG] beside a <p> blue one </p> [SEG]."
LEFT, RIGHT = made.mask_of(made.LEFT)[None], made.mask_of(made.RIGHT)[None]


def same_words(one: str, other: str) -> float:
    return float(one == other)


def run(suite: AnySuite, answerer: Knowing, folder: Path) -> BenchmarkResult:
    return run_suite(suite, answerer, folder, Setup.of(suite, len(suite.dataset), "truth", "0", {}))


def describing(*masks: np.ndarray, caption: str = CAPTION) -> Knowing:
    keys = [(f"sa_{number}", "description of the image") for number in (1, 2)]
    return Knowing(dict.fromkeys(keys, masks), dict.fromkeys(keys, caption))


def test_a_perfect_grounded_caption(tmp_path: Path) -> None:
    folder = made.write_gcg(tmp_path / "set")
    suite = gcg_suite("gcg-val", folder, SuiteOptions(tokenizer="plain"), same_words)
    scores = run(suite, describing(LEFT, RIGHT), tmp_path / "run").scores["overall"]
    assert {name: scores[name] for name in ("AP50", "mIoU", "recall")} == {"AP50": 100, "mIoU": 100, "recall": 100}
    (first, _) = rows_of(BenchmarkDirectory(tmp_path / "run"), suite)
    assert first.caption == "A red box beside a blue one ."
    assert first.phrases == ("red box", "blue one")
    assert (first.recalled, first.labels, len(first.masks)) == (2, 2, 2)


def test_wrong_words_and_wrong_masks_cost_what_they_should(tmp_path: Path) -> None:
    folder = made.write_gcg(tmp_path / "set")
    suite = gcg_suite("gcg-val", folder, SuiteOptions(tokenizer="plain"), same_words)
    exchanged = run(suite, describing(RIGHT, LEFT), tmp_path / "exchanged").scores["overall"]
    assert (exchanged["AP50"], exchanged["mIoU"], exchanged["recall"]) == (100, 100, 0)
    half = run(suite, describing(LEFT, caption="A <p> red box </p> [SEG]."), tmp_path / "half").scores["overall"]
    assert half["recall"] == 50
    assert half["AP50"] == pytest.approx(50, abs=1)
    mute = run(suite, describing(caption=""), tmp_path / "mute").scores["overall"]
    assert (mute["AP50"], mute["mIoU"], mute["recall"], mute["CIDEr"]) == (0, 0, 0, 0)


def test_without_a_bert_recall_is_left_out_and_said_so(tmp_path: Path) -> None:
    suite = open_suite("gcg-val", made.write_gcg(tmp_path / "set"), SuiteOptions(tokenizer="plain"))
    assert "recall left out, without a BERT" in suite.protocol
    assert set(run(suite, describing(LEFT, RIGHT), tmp_path / "run").scores["overall"]) == {"CIDEr", "AP50", "mIoU"}


def test_region_captions_are_cleaned_and_scored_one_by_one(tmp_path: Path) -> None:
    suite = open_suite("region-captions", made.write_region_captions(tmp_path / "set"), SuiteOptions(tokenizer="plain"))
    key = ("COCO_train2014_000000000001", "marked by region1")
    answerer = Knowing({key: []}, {key: "The region marked by region1 shows: a red box"})
    result = run(suite, answerer, tmp_path / "run")
    assert result.rows == 2
    table = pq.read_table(tmp_path / "run/scores.parquet").to_pydict()
    assert table["caption"] == ["a red box", "a red box"]
    assert table["reference"] == ["a red box", "the blue box on the right"]
    assert table["CIDEr"][0] > 100 > table["CIDEr"][1]
    assert result.scores["overall"]["CIDEr"] == pytest.approx(np.mean(table["CIDEr"]))


def test_answers_are_cleaned_as_the_released_scripts_do() -> None:
    assert wordings.caption_of("<s>A  <p>dog</p> [SEG]\n runs.'") == "A dog runs."
    assert wordings.phrases_of("<p> a dog </p> [SEG] and <p>it</p>") == ("a dog", "it")
    assert wordings.region_caption_of("Region1 is this dog's bowl.") == "th dog's bowl."
    assert wordings.segment("the dog.", video=True) == "<image>\nPlease segment the dog.."
    assert wordings.segment("who?", video=True) == "<image>\n who? Please respond with a segmentation mask."
    assert wordings.segment("who?", video=False) == "<image>\n Please segment who? in this image."
    assert "interleaved     segmentation" in wordings.GROUNDED_CAPTION
