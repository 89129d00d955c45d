"""Referring image segmentation on RefCOCO, RefCOCO+ and RefCOCOg: cIoU and gIoU of each split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from refsav.benchmarks.metrics.image_iou import SentenceScore, image_score, sentence_score
from refsav.benchmarks.suites import official_prompts
from refsav.benchmarks.suites.answerer import Answerer, PromptAnswer
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.row_schema import row_kind
from refsav.benchmarks.suites.suite import Suite, Summary
from refsav.datasets.external.refcoco import RefCocoSet, ReferredImage, ReferringSentence, open_refcoco
from refsav.datasets.masks import decode, union
from refsav.datasets.records import Rle
from refsav.errors import RecordError
from refsav.model.media.clip import Clip, open_clip

MERGED = ("testA", "testB")
"""Sa2VA's script reports both together as "test"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceRow:
    """One sentence about an image with the model's answer."""

    number: int
    """Position among the sentences of the image."""
    split: str
    image_id: int
    sentence_id: int
    expression: str
    answer: str
    has_mask: bool
    """Whether the answer has a `[SEG]`; without one, the mask is empty."""
    intersection_px: int
    union_px: int
    height: int
    width: int
    mask: str
    """`counts` of the COCO RLE; an empty string for an empty mask."""

    @property
    def score(self) -> SentenceScore:
        """The row as the metric expects it."""
        return SentenceScore(intersection_px=self.intersection_px, union_px=self.union_px)


SENTENCE_ROWS = row_kind(SentenceRow)


def open_image_suite(name: str, folder: Path, options: SuiteOptions) -> Suite[ReferredImage, SentenceRow]:
    """Open refcoco, refcoco+ or refcocog.

    Raises:
        ConfigError: If the dataset has no split of a given name.
        RecordError: If the folder is not as the dataset is published.
    """
    return Suite(
        name=name,
        protocol="all masks of an answer together against the object, each sentence once; cIoU: sum of intersections "
        "over sum of unions; gIoU: mean IoU, 1 where both are empty; test of RefCOCO and RefCOCO+: testA and testB",
        dataset=open_refcoco(folder, cast(RefCocoSet, name), options.splits, images=options.images),
        measure=_measure,
        rows=SENTENCE_ROWS,
        summarize=_summarize,
        bulky=frozenset({"height", "width", "mask"}),
    )


def open_picture(path: Path, size: tuple[int, int]) -> Clip:
    """Open an image whose annotated masks have `size`, (height, width). Raises RecordError if its size differs."""
    clip = open_clip(path)
    if (clip.height, clip.width) != size:
        problem = f"is {clip.height}x{clip.width}, the annotations say {size[0]}x{size[1]} (height x width)"
        raise RecordError(path, "", problem, "use the images that belong to the annotations")
    return clip


def _measure(answerer: Answerer, image: ReferredImage) -> list[SentenceRow]:
    clip = open_picture(image.image, image.size)
    prompts = [official_prompts.segment(one.text, video=False) for one in image.sentences]
    answers = answerer.ask(clip, prompts)
    return [
        _row(number, image, one, answer)
        for number, (one, answer) in enumerate(zip(image.sentences, answers, strict=True))
    ]


def _row(number: int, image: ReferredImage, one: ReferringSentence, answer: PromptAnswer) -> SentenceRow:
    drawn = [mask for (mask,) in answer.masks if mask is not None]
    found: Rle | None = union(drawn) if drawn else None
    score = sentence_score(decode(one.truth), decode(found) if found else np.zeros(image.size, np.bool_))
    return SentenceRow(
        number=number,
        split=image.split,
        image_id=image.image_id,
        sentence_id=one.sentence_id,
        expression=one.text,
        answer=answer.text,
        has_mask=bool(answer.masks),
        intersection_px=score.intersection_px,
        union_px=score.union_px,
        height=image.size[0],
        width=image.size[1],
        mask=found.counts if found else "",
    )


def _summarize(rows: Iterator[SentenceRow]) -> Summary:
    by_split: dict[str, list[SentenceScore]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append(row.score)
    if all(split in by_split for split in MERGED):
        by_split["test"] = [score for split in MERGED for score in by_split[split]]
    return Summary(scores={split: _figures(scores) for split, scores in by_split.items()})


def _figures(scores: list[SentenceScore]) -> Mapping[str, float]:
    score = image_score(scores)
    return {"cIoU": 100 * score.ciou, "gIoU": 100 * score.giou}
