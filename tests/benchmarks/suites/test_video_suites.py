"""Each video suite scores the truth as perfect, and anything else as the official scripts do."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from refsav.benchmarks.metrics.j_and_f import boundary_measure, region_similarity
from refsav.benchmarks.report import compare
from refsav.benchmarks.result import Setup
from refsav.benchmarks.suite_runner import BenchmarkDirectory, rows_of, run_suite
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.registry import open_suite
from refsav.benchmarks.suites.suite import AnySuite, Scores
from refsav.errors import RecordError
from tests.support.data import expression_sets as made
from tests.support.models.answering import Knowing, changed

Write = Callable[[Path], Path]

SAID = {"red box": ("1",), "what is blue?": ("2",), "both boxes": ("1", "2")}
ALL = {(video, text): [made.truth(video, *objects)] for video in made.VIDEOS for text, objects in SAID.items()}


def score(suite: AnySuite, answerer: Knowing, folder: Path) -> Scores:
    setup = Setup.of(suite, len(suite.dataset), "truth", "0", {})
    return run_suite(suite, answerer, folder, setup).scores


def shifted(masks: np.ndarray) -> np.ndarray:
    return np.roll(masks, 3, axis=-1)


def expected(frames: slice, texts: Sequence[str] = tuple(SAID), decimals: int | None = None) -> dict[str, float]:
    """J, F and their mean of the shifted masks, expression by expression, as the scripts average them."""
    pairs = [
        (ALL[video, text][0][frames], shifted(ALL[video, text][0])[frames]) for video in made.VIDEOS for text in texts
    ]
    j = [100 * region_similarity(*pair).mean() for pair in pairs]
    f = [100 * boundary_measure(*pair).mean() for pair in pairs]
    if decimals is not None:
        j, f = np.round(j, decimals), np.round(f, decimals)
    return {"J": np.mean(j), "F": np.mean(f), "J&F": (np.mean(j) + np.mean(f)) / 2}


@pytest.mark.parametrize(
    ("name", "write", "groups"),
    [
        ("ref-sav", made.write_ref_sav, {"long", "short", "overall"}),
        ("revos", made.write_revos, {"referring", "reasoning", "overall"}),
        ("mevis-val-u", made.write_mevis, {"overall"}),
    ],
)
def test_the_truth_is_perfect(tmp_path: Path, name: str, write: Write, groups: set[str]) -> None:
    prefix = "UVO/all/" if name == "revos" else ""
    known = Knowing({(prefix + video, text): masks for (video, text), masks in ALL.items()})
    scores = score(open_suite(name, write(tmp_path / "set")), known, tmp_path / "run")
    assert scores == {group: {"J": 100.0, "F": 100.0, "J&F": 100.0} for group in groups}
    assert [len(prompts) for _, prompts in known.asked] == [3, 3], "a video is asked about once"


def test_ref_sav_is_scored_by_kind_and_rounded_as_the_script_does(tmp_path: Path) -> None:
    suite = open_suite("ref-sav", made.write_ref_sav(tmp_path / "set"))
    scores = score(suite, changed(shifted, ALL), tmp_path / "run")
    long = expected(slice(None), ("red box", "both boxes"), decimals=2)
    short = expected(slice(None), ("what is blue?",), decimals=2)
    assert scores["long"] == pytest.approx(long, abs=1e-9)
    assert scores["short"] == pytest.approx(short, abs=1e-9)
    assert scores["overall"] == pytest.approx({key: (long[key] + short[key]) / 2 for key in long}, abs=1e-9)
    assert 10 < scores["overall"]["J"] < 90


def test_mevis_averages_all_expressions_without_rounding(tmp_path: Path) -> None:
    suite = open_suite("mevis-val-u", made.write_mevis(tmp_path / "set"))
    scores = score(suite, changed(shifted, ALL), tmp_path / "run")
    assert scores == {"overall": pytest.approx(expected(slice(None)), abs=1e-9)}


def test_ref_davis17_is_scored_in_both_ways(tmp_path: Path) -> None:
    suite = open_suite("ref-davis17", made.write_ref_davis17(tmp_path / "set"))
    known = {
        (video, f"{who} {number}"): [made.truth(video, number)]
        for video in made.VIDEOS
        for number in ("1", "2")
        for who in ("first one", "full one", "first two", "full two")
    }
    assert score(suite, Knowing(known), tmp_path / "perfect")["davis2017"]["J&F"] == 100
    worse = {key: [shifted(masks[0])] if key[1].startswith("full") else masks for key, masks in known.items()}
    scores = score(suite, Knowing(worse), tmp_path / "worse")
    alone = [
        100 * region_similarity(made.truth(video, number), shifted(made.truth(video, number))).mean()
        for video in made.VIDEOS
        for number in ("1", "2")
    ]
    assert scores["annotator 1"] == scores["annotator 3"] == {"J": 100.0, "F": 100.0, "J&F": 100.0}
    assert scores["annotator 2"]["J"] == pytest.approx(np.mean(alone))
    assert scores["davis2017"]["J"] == scores["sa2va"]["J"] == pytest.approx((100 + np.mean(alone)) / 2)
    taken_for_each_other = {(video, text): known[video, text[:-1] + "21"[int(text[-1]) - 1]] for video, text in known}
    scores = score(suite, Knowing(taken_for_each_other), tmp_path / "swapped")
    assert scores["davis2017"]["J"] == 100, "the standard assigns masks to objects by itself"
    assert scores["sa2va"]["J"] < 30


def test_an_object_that_the_first_frame_does_not_show_is_not_in_the_standard(tmp_path: Path) -> None:
    folder = made.write_ref_davis17(tmp_path / "set", table=False)
    for picture in (folder / "valid/Annotations").glob("*/00000.png"):
        blank = Image.fromarray(np.zeros((made.HEIGHT, made.WIDTH), np.uint8), mode="P")
        blank.putpalette([0, 0, 0, 236, 95, 103])
        blank.save(picture)
    suite = open_suite("ref-davis17", folder)
    nothing = np.zeros((made.FRAMES, made.HEIGHT, made.WIDTH), np.bool_)
    known = Knowing({(video, "Please segment"): [nothing] for video in made.VIDEOS})
    scores = score(suite, known, tmp_path / "run")
    assert set(scores) == {"sa2va"}, "no object is left"
    assert scores["sa2va"]["J"] == pytest.approx(100 * (3 * 1 + 3) / 24), "empty frames that are left empty count"


def test_an_answer_without_a_mask_is_an_empty_one_and_is_counted(tmp_path: Path) -> None:
    suite = open_suite("mevis-val-u", made.write_mevis(tmp_path / "set"))
    mute = Knowing({(video, "Please"): [] for video in made.VIDEOS} | {(v, "what is"): [] for v in made.VIDEOS})
    setup = Setup.of(suite, 2, "mute", "0", {})
    result = run_suite(suite, mute, tmp_path / "run", setup)
    assert (result.rows, result.without_mask) == (6, 6)
    empty_frames = [not frame.any() for masks in ALL.values() for frame in masks[0]]
    assert result.scores["overall"]["J"] == pytest.approx(100 * np.mean(empty_frames))
    assert result.scores["overall"]["F"] == pytest.approx(100 * np.mean(empty_frames))


def test_expressions_of_no_known_kind_are_kept_and_not_in_the_figures(tmp_path: Path) -> None:
    folder = made.write_revos(tmp_path / "set")

    def retype(content: dict) -> None:
        for video in content["videos"].values():
            for one in video["expressions"].values():
                one["type_id"] = 2

    made.change_json(folder / "meta_expressions_valid_.json", retype)
    suite = open_suite("revos", folder)
    known = Knowing({(f"UVO/all/{video}", text): masks for (video, text), masks in ALL.items()})
    assert score(suite, known, tmp_path / "run") == {}
    assert {row.kind for row in rows_of(BenchmarkDirectory(tmp_path / "run"), suite)} == {"type 2"}


def test_expressions_can_be_given_to_the_wrong_objects(tmp_path: Path) -> None:
    suite = open_suite("ref-sav", made.write_ref_sav(tmp_path / "set"), SuiteOptions(control="shuffled"))
    assert "words for another" in suite.protocol
    scores = score(suite, Knowing(ALL), tmp_path / "run")
    assert scores["short"]["J"] < 50, "what is blue is asked for as both boxes"
    rows = list(rows_of(BenchmarkDirectory(tmp_path / "run"), suite))
    assert [row.expression for row in rows[:3]] == ["what is blue?", "both boxes", "red box"]


@pytest.mark.parametrize(
    ("name", "write", "where"),
    [
        ("ref-sav", made.write_ref_sav, "meta_expressions_valid.json"),
        ("mevis-val-u", made.write_mevis, "valid_u/meta_expressions.json"),
    ],
)
def test_objects_without_a_name_are_distinguished_by_their_masks(
    tmp_path: Path, name: str, write: Write, where: str
) -> None:
    folder = write(tmp_path / "set")

    def forget(content: dict) -> None:
        for video in content["videos"].values():
            for one in video["expressions"].values():
                del one["obj_id"]

    made.change_json(folder / where, forget)
    suite = open_suite(name, folder, SuiteOptions(control="shuffled"))
    score(suite, Knowing(ALL), tmp_path / "run")
    rows = list(rows_of(BenchmarkDirectory(tmp_path / "run"), suite))
    assert [row.expression for row in rows[:3]] == ["what is blue?", "both boxes", "red box"]


def test_a_video_of_one_object_is_not_in_the_figures_of_the_control(tmp_path: Path) -> None:
    folder = made.write_ref_sav(tmp_path / "set")

    def only_red(content: dict) -> None:
        alone, other = (content["videos"][video]["expressions"] for video in ("a_first", "b_second"))
        alone["1"] = {**alone["0"], "exp": "both boxes"}
        alone["2"] = {**alone["0"], "exp": "what is blue?"}
        other["1"]["exp"] = other["0"]["exp"]

    made.change_json(folder / "meta_expressions_valid.json", only_red)
    suite = open_suite("ref-sav", folder, SuiteOptions(control="shuffled"))
    result = run_suite(suite, Knowing(ALL), tmp_path / "run", Setup.of(suite, 2, "truth", "0", {}))
    rows = list(rows_of(BenchmarkDirectory(tmp_path / "run"), suite))
    asked = {(row.video_id, row.exp_id): row.expression for row in rows if row.score}
    assert asked == {("b_second", "0"): "both boxes", ("b_second", "1"): "both boxes", ("b_second", "2"): "red box"}
    assert (result.rows, result.not_scored) == (6, 3)
    assert result.scores["overall"]["J"] < 60, "what is asked as it is would raise it"
    assert "not scored" in suite.protocol
    notes = compare({"shuffled": result}).notes
    assert any("3 of them not scored: their video has no expression of another object" in note for note in notes)


@pytest.mark.parametrize("name", ["ref-sav", "mevis-val-u", "ref-davis17"])
def test_a_control_without_any_other_words_has_no_figures(tmp_path: Path, name: str) -> None:
    where = {
        "ref-sav": "meta_expressions_valid.json",
        "mevis-val-u": "valid_u/meta_expressions.json",
        "ref-davis17": "meta_expressions/valid/meta_expressions.json",
    }
    write = {"ref-sav": made.write_ref_sav, "mevis-val-u": made.write_mevis, "ref-davis17": made.write_ref_davis17}
    folder = write[name](tmp_path / "set")

    def keep_one(content: dict) -> None:
        for video in content["videos"].values():
            video["expressions"] = {"0": video["expressions"]["0"]}

    made.change_json(folder / where[name], keep_one)
    suite = open_suite(name, folder, SuiteOptions(control="shuffled"))
    known = Knowing({(video, ""): [made.truth(video, "1")] for video in made.VIDEOS})
    result = run_suite(suite, known, tmp_path / "run", Setup.of(suite, 2, "truth", "0", {}))
    assert (result.scores, result.rows, result.not_scored) == ({}, 2, 2)


def test_masks_of_another_size_than_the_frames_are_reported(tmp_path: Path) -> None:
    folder = made.write_ref_sav(tmp_path / "set")
    cv2.imwrite(str(folder / "videos/a_first/00000.jpg"), np.zeros((20, 30, 3), np.uint8))
    suite = open_suite("ref-sav", folder)
    video = suite.dataset.read(1)
    with pytest.raises(RecordError, match=r"00000\.jpg: is 20x30, the true masks 48x64"):
        suite.measure(Knowing(ALL), video)


def test_what_a_row_holds_is_what_was_asked_and_answered(tmp_path: Path) -> None:
    suite = open_suite("ref-sav", made.write_ref_sav(tmp_path / "set"))
    score(suite, Knowing(ALL, dict.fromkeys(ALL, "Sure, [SEG].")), tmp_path / "run")
    row = list(rows_of(BenchmarkDirectory(tmp_path / "run"), suite))[1]
    assert (row.video_id, row.exp_id, row.kind) == ("b_second", "1", "short")
    assert (row.expression, row.answer) == ("what is blue?", "Sure, [SEG].")
    assert row.frame_names == made.NAMES
    assert [mask is None for mask in row.masks] == [False, False, False, True, True, False]
    assert json.loads((tmp_path / "run/result.json").read_text())["setup"]["suite"] == "ref-sav"
