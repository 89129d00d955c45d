"""Scores of masks and captions, and complete benchmark runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from refsav.benchmarks.metrics.captions import CaptionPair, TokenizerName, cider, meteor, tokenized
from refsav.benchmarks.metrics.j_and_f import Protocol, VideoScore, frame_scores
from refsav.datasets.masks import Mask
from refsav.extras import require

if TYPE_CHECKING:
    from refsav.benchmarks.result import BenchmarkResult
    from refsav.model.inference_settings import InferenceSettings


@overload
def score_j_and_f(predicted: Mask, truth: Mask) -> VideoScore: ...
@overload
def score_j_and_f(predicted: Mask, truth: Mask, protocol: Literal["all"]) -> VideoScore: ...
@overload
def score_j_and_f(predicted: Mask, truth: Mask, protocol: Protocol) -> VideoScore | None: ...
def score_j_and_f(predicted: Mask, truth: Mask, protocol: Protocol = "all") -> VideoScore | None:
    """Score the masks of one object in one video, as davis2017-evaluation does (db_eval_iou, db_eval_boundary).

    Args:
        predicted: bool [T, H, W].
        truth: bool [T, H, W], of the same size.
        protocol: Which frames count: "all", "davis" (without the first and the last) or "sav" (docs/metrics.md).

    Returns:
        Means over the frames that count, fractions from 0 to 1; None if the protocol counts no frame.

    Raises:
        ValueError: If the masks are not bool or their shapes differ.
    """
    return frame_scores(truth, predicted).score(protocol)


def score_captions(
    predicted: Mapping[str, str], references: Mapping[str, Sequence[str]], *, tokenizer: TokenizerName = "ptb"
) -> dict[str, float]:
    """Score captions with CIDEr and METEOR, as pycocoevalcap does; needs the extra `bench`.

    Args:
        predicted: Image or region to its caption.
        references: The same names, each with one reference or more.
        tokenizer: "ptb" is the official one and needs Java, as METEOR does. "plain" needs no Java and omits METEOR.

    Returns:
        {"CIDEr": 0 to 10, "METEOR": 0 to 1}, over the whole set.

    Raises:
        ValueError: If a name lacks a reference.
        MissingExtraError: If pycocoevalcap is not installed.
        CaptionMetricError: If Java is needed and cannot be run.
    """
    pairs = [
        CaptionPair(name=name, references=tuple(references.get(name, ())), found=text)
        for name, text in predicted.items()
    ]
    words = tokenized(pairs, tokenizer)
    scores = {"CIDEr": cider(words).score}
    return scores if tokenizer == "plain" else {**scores, "METEOR": meteor(words).score}


def run_benchmark(
    checkpoint: str | Path,
    data: str | Path,
    suite: str,
    out: str | Path,
    *,
    settings: "InferenceSettings | None" = None,
    limit: int = 0,
) -> "BenchmarkResult":
    """Run a suite, or resume an unfinished run of it, as `refsav bench` does.

    Args:
        checkpoint: Directory of a Sa2VA checkpoint.
        data: Folder of the dataset as it is published.
        suite: Name of the suite, for example "ref-sav" (docs/benchmarking.md lists them).
        out: Folder for the result, its scores and its parts.
        settings: Settings of inference; by default those of `refsav bench`.
        limit: Images or videos to take; 0 for all.

    Returns:
        Scores in percent, counts, and what failed.

    Raises:
        ConfigError: If there is no such suite, or `out` holds another run.
        RecordError: If the dataset or the checkpoint cannot be read.
    """
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.benchmark import EvaluatedModel, measure
    from refsav.benchmarks.suites.registry import open_suite
    from refsav.model.inference_settings import InferenceSettings

    opened = open_suite(suite, Path(data))
    candidate = EvaluatedModel.load(Path(checkpoint))
    return measure(candidate, opened, settings or InferenceSettings(), Path(out), limit=limit)


def register_with_vlmevalkit(checkpoint: str | Path, name: str = "RefSAV") -> None:
    """Register a checkpoint as a model of VLMEvalKit, which runs the chat benchmarks (docs/benchmarking.md).

    Raises:
        HarnessMissingError: If VLMEvalKit is not installed.
    """
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.vlmevalkit import register

    register(checkpoint, name)
