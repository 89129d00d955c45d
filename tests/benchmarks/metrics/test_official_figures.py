"""From masks to a benchmark's figure, as the published evaluators made it of the same masks: tests/data/metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refsav.benchmarks.metrics.davis import standard_scores
from refsav.benchmarks.metrics.image_iou import image_score, sentence_score
from refsav.benchmarks.suites.answerer import PromptAnswer
from refsav.benchmarks.suites.suite import Scores
from refsav.benchmarks.suites.video_rows import ExpressionRow, expression_rows
from refsav.benchmarks.suites.video_suites import VIDEO_SUITES
from refsav.datasets.external.referring_videos import ExpressionVideo, ReferringExpression
from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.masks import decode, union
from tests.support.data.metric_data import recorded, rle

MADE = recorded("expressions")
SIZE: tuple[int, int] = tuple(MADE["size"])


def frames_of(counts: Sequence[str | None]) -> FrameMasks:
    return tuple(None if one is None else rle(SIZE, one) for one in counts)


def meant(video: Mapping[str, Any], objects: Sequence[str]) -> FrameMasks:
    """Pixels of any of some objects, as a reader of the set gives them."""
    rows = zip(*(frames_of(video["truth"][number]) for number in objects), strict=True)
    seen = [[mask for mask in row if mask is not None] for row in rows]
    return tuple(union(masks) if masks else None for masks in seen)


def rows_of(name: str, expressions: Sequence[ReferringExpression], found: Sequence[FrameMasks]) -> list[ExpressionRow]:
    video = ExpressionVideo(
        video_id=name,
        frames=tuple(Path(f"{frame}.jpg") for frame in MADE["frames"]),
        size=SIZE,
        expressions=tuple(expressions),
        void=frames_of(MADE["videos"][name]["void"]),
    )
    standard = (
        standard_scores(video, found, SIZE) if expressions[0].kind.startswith("annotator") else [None] * len(found)
    )
    return expression_rows(video, [PromptAnswer(text="[SEG]", masks=(one,)) for one in found], SIZE, standard)


def figures(suite: str, kinds: Mapping[int, str]) -> Scores:
    rows = []
    for name, video in MADE["videos"].items():
        expressions = [
            ReferringExpression(
                exp_id=exp_id,
                text=exp_id,
                kind=kinds.get(MADE["type_id"][exp_id], ""),
                object_ids=tuple(objects),
                truth=meant(video, objects),
            )
            for exp_id, objects in MADE["objects"].items()
        ]
        rows += rows_of(name, expressions, [frames_of(video["found"][one.exp_id]) for one in expressions])
    return VIDEO_SUITES[suite].summarize(iter(rows)).scores


def close(figure: Mapping[str, float], *, percent: bool) -> object:
    return pytest.approx({name: (100 if percent else 1) * value for name, value in figure.items()}, abs=1e-6)


def test_mevis_as_its_own_script() -> None:
    assert figures("mevis-val-u", {})["overall"] == close(MADE["mevis"], percent=True)


def test_revos_as_its_own_script() -> None:
    scores = figures("revos", {0: "referring", 1: "reasoning"})
    assert set(scores) == set(MADE["revos"])
    for group, figure in MADE["revos"].items():
        assert scores[group] == close(figure, percent=False), group


def test_the_standard_of_ref_davis17_as_the_evaluator_of_davis_2017() -> None:
    rows = []
    for name, video in MADE["videos"].items():
        expressions = [
            ReferringExpression(
                exp_id=exp_id,
                text=exp_id,
                kind=f"annotator {int(exp_id) % 4 + 1}",
                object_ids=(number,),
                truth=meant(video, number),
            )
            for exp_id in video["found_davis"]
            for number in [str(int(exp_id) // 4 + 1)]
        ]
        rows += rows_of(name, expressions, [frames_of(counts) for counts in video["found_davis"].values()])
    scores = VIDEO_SUITES["ref-davis17"].summarize(iter(rows)).scores
    for annotator, figure in MADE["davis2017"].items():
        assert scores[annotator] == close(figure, percent=True), annotator
    mean = {name: np.mean([figure[name] for figure in MADE["davis2017"].values()]) for name in ("J", "F", "J&F")}
    assert scores["davis2017"] == close(mean, percent=True)
    assert abs(scores["davis2017"]["J"] - scores["sa2va"]["J"]) > 1, "the two ways differ on these masks"


def test_refcoco_as_sa2vas_script() -> None:
    made = recorded("refcoco")
    sentences = []
    for image in made["images"]:
        for one in image["sentences"]:
            truth = decode(rle(image["size"], one["truth"]))
            found = np.zeros_like(truth) if one["found"] is None else decode(rle(image["size"], one["found"]))
            sentences.append(sentence_score(truth, found))
    score = image_score(sentences)
    assert (score.ciou, score.giou) == pytest.approx((made["cIoU"], made["gIoU"]), abs=1e-6)
