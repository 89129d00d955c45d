"""AP50, mIoU and recall of grounded captions are those of the official script, with what it stumbles over."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.benchmarks.metrics.gcg import GroundedCaption, GroundedImage, average_precision_50, gcg_score, image_score
from refsav.datasets.masks import encode
from refsav.datasets.records import Rle
from tests.support.data.metric_data import recorded, rle

RECORDED = recorded("gcg")


def common_words(one: str, other: str) -> float:
    """What stood in for BERT when the script's figures were recorded."""
    words, others = set(one.split()), set(other.split())
    return len(words & others) / len(words | others)


def recorded_images() -> list[GroundedImage]:
    def caption(entries: list[dict[str, str | None]]) -> GroundedCaption:
        return GroundedCaption(
            caption="x",
            phrases=tuple(entry["phrase"] for entry in entries if entry["phrase"] is not None),
            masks=tuple(rle(RECORDED["size"], entry["mask"] or "") for entry in entries),
        )

    return [
        GroundedImage(image_id=image["id"], truth=caption(image["truth"]), found=caption(image["found"]))
        for image in RECORDED["images"]
    ]


def strip(left: int, width: int = 10) -> Rle:
    mask = np.zeros((4, 60), dtype=np.bool_)
    mask[:, left : left + width] = True
    return encode(mask)


def grounded(*parts: tuple[str, int]) -> GroundedCaption:
    return GroundedCaption(
        caption="", phrases=tuple(phrase for phrase, _ in parts), masks=tuple(strip(left) for _, left in parts)
    )


def image(truth: GroundedCaption, found: GroundedCaption, image_id: str = "1") -> GroundedImage:
    return GroundedImage(image_id=image_id, truth=truth, found=found)


def test_made_images_score_as_the_official_script_recorded() -> None:
    figures = RECORDED["figures"]
    score = gcg_score(recorded_images(), common_words)
    assert score.ap50 == pytest.approx(figures["ap50"], abs=1e-12)
    assert score.miou == pytest.approx(figures["miou"], abs=1e-12)
    assert [one.miou for one in score.images] == pytest.approx(figures["miou_each"], abs=1e-12)
    assert [one.recalled for one in score.images] == figures["recalled_each"]
    assert score.recall == pytest.approx(sum(figures["recalled_each"]) / 14, abs=1e-12)
    assert f"Recall: {score.recall:.3f}" in figures["printed"]


def test_the_official_matching_ends_at_the_first_pair_that_fails() -> None:
    one = image(grounded(("a dog", 0), ("a cat", 20)), grounded(("a bird", 0), ("a cat", 21)))
    assert image_score(one, common_words, "official").recalled == 0
    assert image_score(one, common_words, "greedy").recalled == 1
    assert gcg_score([one], common_words, "greedy").recall == 0.5


def test_a_mask_without_a_phrase_costs_the_image_its_recall_in_the_script_only() -> None:
    found = replace(grounded(("a dog", 0), ("a cat", 20)), phrases=("a dog",))
    one = image(grounded(("a dog", 0), ("a cat", 20)), found)
    assert image_score(one, common_words, "official").recalled == 0
    assert image_score(one, common_words, "greedy").recalled == 1


def test_the_order_of_images_decides_ap_where_all_scores_are_equal() -> None:
    right, wrong = grounded(("x", 0)), grounded(("x", 40))
    right_first = [image(right, right, "1"), image(right, wrong, "2")]
    wrong_first = [image(right, wrong, "1"), image(right, right, "2")]
    assert average_precision_50(right_first) > average_precision_50(wrong_first) > 0
    assert average_precision_50(right_first) == average_precision_50(right_first[::-1])


def test_nothing_found_scores_nothing() -> None:
    score = gcg_score([image(grounded(("a dog", 0)), grounded())], common_words)
    assert (score.ap50, score.miou, score.recall) == (0, 0, 0)


@given(st.lists(st.tuples(st.sampled_from(["a dog", "a cat", "grass"]), st.sampled_from([0, 15, 30, 45])), min_size=1))
def test_the_truth_itself_is_perfect_in_ap_and_miou(parts: list[tuple[str, int]]) -> None:
    apart = {left: (phrase, left) for phrase, left in parts}
    caption = grounded(*apart.values())
    score = gcg_score([image(caption, caption)], common_words)
    assert score.ap50 == pytest.approx(1) and score.miou == 1 and score.recall == 1


def test_what_cannot_be_scored_is_refused() -> None:
    dog = grounded(("a dog", 0))
    with pytest.raises(ValueError, match="no image has a true phrase"):
        gcg_score([], common_words)
    with pytest.raises(ValueError, match="unique image ids"):
        gcg_score([image(dog, dog), image(dog, dog)], common_words)
    with pytest.raises(ValueError, match="at least one true mask"):
        average_precision_50([image(grounded(), dog)])
    with pytest.raises(ValueError, match="they must be equal"):
        gcg_score([image(dog, replace(dog, masks=(encode(np.ones((5, 5), dtype=np.bool_)),)))], common_words)
