"""Referring video segmentation on Ref-SAV, MeViS, ReVOS, Ref-YouTube-VOS and Ref-DAVIS17."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from refsav.benchmarks.metrics.davis import standard_scores
from refsav.benchmarks.metrics.expression_scores import MeanScore, grouped_score, mean_score
from refsav.benchmarks.metrics.j_and_f import VideoScore
from refsav.benchmarks.suites import official_prompts
from refsav.benchmarks.suites.answerer import Answerer
from refsav.benchmarks.suites.options import Control, SuiteOptions
from refsav.benchmarks.suites.suite import Suite, Summary
from refsav.benchmarks.suites.video_rows import EXPRESSION_ROWS, ExpressionRow, expression_rows, found_masks, not_scored
from refsav.datasets.external.referring_videos import ExpressionVideo, ReferringExpression
from refsav.datasets.external.video_layouts import DAVIS_ANNOTATORS, ExpressionSet, open_expressions
from refsav.errors import RecordError
from refsav.model.media.clip import open_frames

SHUFFLED = (
    "; control: each object is asked for with the words for another; where a video has no words for another, they are "
    "asked as they are, and not scored"
)

Rows = Iterator[ExpressionRow]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Video:
    """Definition of a video suite."""

    dataset: ExpressionSet
    split: str
    protocol: str
    summarize: Callable[[Rows], Summary]
    standard: bool = False
    """Whether to compute the standard protocol of Ref-DAVIS17 too."""
    for_server: bool = False


def open_video_suite(name: str, folder: Path, options: SuiteOptions) -> Suite[ExpressionVideo, ExpressionRow]:
    """Open one of VIDEO_SUITES.

    Raises:
        RecordError: If the folder is not as the dataset is published.
    """
    made = VIDEO_SUITES[name]
    shuffled = options.control == "shuffled"
    return Suite(
        name=name,
        protocol=made.protocol + (SHUFFLED if shuffled else ""),
        dataset=open_expressions(made.dataset, folder, made.split),
        measure=partial(_measure, options.control, made.standard),
        rows=EXPRESSION_ROWS,
        summarize=partial(_of_the_shuffled, made.summarize) if shuffled else made.summarize,
        bulky=frozenset({"height", "width", "frame_names", "masks"}),
        for_server=made.for_server,
    )


def _measure(control: Control, standard: bool, answerer: Answerer, video: ExpressionVideo) -> list[ExpressionRow]:
    words = _words(control, video.expressions)
    clip = open_frames(video.frames, video.video_id)
    size = (clip.height, clip.width)
    if video.size not in (None, size):
        problem = f"is {size[0]}x{size[1]}, the true masks {video.size[0]}x{video.size[1]} (height x width)"
        raise RecordError(video.frames[0], "", problem, "use frames and masks of the same release")
    pairs = zip(video.expressions, words, strict=True)
    asked = replace(video, expressions=tuple(replace(one, text=text or one.text) for one, text in pairs))
    answers = answerer.ask(
        clip, [official_prompts.segment(one.text, video=True) for one in asked.expressions], first_only=True
    )
    found = [found_masks(asked, answer) for answer in answers]
    by_standard = standard_scores(asked, found, size) if standard else [None] * len(found)
    rows = expression_rows(asked, answers, size, by_standard)
    return [row if text is not None else not_scored(row) for row, text in zip(rows, words, strict=True)]


def _words(control: Control, expressions: Sequence[ReferringExpression]) -> list[str | None]:
    """Return the expression to prompt for each object; None if the control has no other one."""
    if control == "none":
        return [one.text for one in expressions]
    return [_words_for_another(expressions, place) for place in range(len(expressions))]


def _words_for_another(expressions: Sequence[ReferringExpression], place: int) -> str | None:
    """Return the next expression of another object that reads differently; None if the video has none."""
    own = expressions[place]
    others = (*expressions[place + 1 :], *expressions[:place])
    return next((one.text for one in others if one.text != own.text and _means_another(one, own)), None)


def _means_another(one: ReferringExpression, own: ReferringExpression) -> bool:
    """Compare the ids of the objects if the dataset has them, otherwise their masks."""
    named = one.object_ids and own.object_ids
    return one.object_ids != own.object_ids if named else one.truth != own.truth


def _of_the_shuffled(summarize: Callable[[Rows], Summary], rows: Rows) -> Summary:
    """Summarize the expressions that the control could replace, and count the others."""
    left_out: list[str] = []

    def scored() -> Rows:
        for row in rows:
            if row.score is None:
                left_out.append(row.exp_id)
            else:
                yield row

    return replace(summarize(scored()), not_scored=len(left_out))


def _overall(rows: Rows) -> Summary:
    """MeViS: the mean over all expressions."""
    scores = _known(row.score for row in rows)
    return Summary(scores={"overall": _figures(mean_score(scores))} if scores else {})


def _of_kinds(*kinds: str) -> Callable[[Rows], Summary]:
    """Ref-SAV and ReVOS: the mean of each kind, and the unweighted mean of the kinds."""

    def summarize(rows: Rows) -> Summary:
        listed = list(rows)
        groups = {kind: _known(row.score for row in listed if row.kind == kind) for kind in kinds}
        if not any(groups.values()):
            return Summary(scores={})
        grouped = grouped_score(groups)
        each = {kind: _figures(score) for kind, score in grouped.groups.items()}
        return Summary(scores={**each, "overall": _figures(grouped.overall)})

    return summarize


def _davis(rows: Rows) -> Summary:
    """Ref-DAVIS17 by both protocols: the standard one for each annotator, and the mean of Sa2VA's script."""
    listed = list(rows)
    if not any(row.score for row in listed):
        return Summary(scores={})
    kinds = [f"annotator {number}" for number in range(1, DAVIS_ANNOTATORS + 1)]
    each = {kind: _known(row.standard_score for row in listed if row.kind == kind) for kind in kinds}
    means = {kind: mean_score(scores) for kind, scores in each.items() if scores}
    annotators = {kind: _figures(score) for kind, score in means.items()}
    as_sa2va = _figures(mean_score(_known(row.score for row in listed)))
    if not annotators:
        return Summary(scores={"sa2va": as_sa2va})
    standard = {name: sum(one[name] for one in annotators.values()) / len(annotators) for name in as_sa2va}
    return Summary(scores={"davis2017": standard, "sa2va": as_sa2va, **annotators})


def _nothing(rows: Rows) -> Summary:
    """No scores: only a test server has the truth."""
    del rows
    return Summary(scores={})


def _known(scores: Iterable[VideoScore | None]) -> list[VideoScore]:
    return [score for score in scores if score is not None]


def _figures(score: MeanScore) -> Mapping[str, float]:
    return {"J": score.j, "F": score.f, "J&F": score.jf}


_EVERY_FRAME = "J and F of every frame, averaged over an expression"
_KINDS = f"{_EVERY_FRAME} and rounded to 2 decimals of a percent; mean of each kind; overall: plain mean of the kinds"

VIDEO_SUITES: Mapping[str, _Video] = {
    "ref-sav": _Video(
        dataset="ref-sav",
        split="valid",
        protocol=f"{_KINDS} (Sa2VA's eval_ref_sav.py)",
        summarize=_of_kinds("long", "short"),
    ),
    "mevis-val-u": _Video(
        dataset="mevis",
        split="valid_u",
        protocol=f"{_EVERY_FRAME}, then over all expressions (MeViS' eval_mevis.py)",
        summarize=_overall,
    ),
    "mevis-val": _Video(
        dataset="mevis", split="valid", protocol="scored by MeViS' test server", summarize=_nothing, for_server=True
    ),
    "revos": _Video(
        dataset="revos",
        split="valid",
        protocol=f"{_KINDS} (ReVOS' eval_revos.py)",
        summarize=_of_kinds("referring", "reasoning"),
    ),
    "ref-youtube-vos": _Video(
        dataset="ref-youtube-vos",
        split="valid",
        protocol="scored by Ref-YouTube-VOS' test server",
        summarize=_nothing,
        for_server=True,
    ),
    "ref-davis17": _Video(
        dataset="ref-davis17",
        split="valid",
        protocol="davis2017: davis2017-evaluation's unsupervised task for each annotator, mean of the four (overlaps "
        "go to the lower number); sa2va: J and F of every frame, mean over all expressions (Sa2VA's eval_davis.py)",
        standard=True,
        summarize=_davis,
    ),
}
"""Video suites by name."""
