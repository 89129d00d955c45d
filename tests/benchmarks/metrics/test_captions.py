"""METEOR and CIDEr are those of COCO's evaluation; without Java one of them still goes, and says which way."""

import os
import shutil
from pathlib import Path

import pytest

from refsav.benchmarks.metrics.captions import CaptionMetricError, CaptionPair, cider, meteor, tokenized
from tests.support.data.metric_data import recorded

CAPTIONS = [entry for entry in recorded("captions") if entry["name"] != "all"]
ALL = next(entry for entry in recorded("captions") if entry["name"] == "all")
PAIRS = [
    CaptionPair(name=entry["name"], references=tuple(entry["references"]), found=entry["found"]) for entry in CAPTIONS
]
REQUIRED = os.environ.get("REFSAV_REAL_VIDEOS") == "required"
needs_java = pytest.mark.skipif(shutil.which("java") is None and not REQUIRED, reason="no Java runtime")


@needs_java
def test_captions_score_as_cocos_evaluation_recorded() -> None:
    words = tokenized(PAIRS)
    assert [pair.found for pair in words.pairs] == [entry["found_tokenized"] for entry in CAPTIONS]
    assert [list(pair.references) for pair in words.pairs] == [entry["references_tokenized"] for entry in CAPTIONS]
    for score in (meteor(words), cider(words)):
        assert score.tokenizer == "ptb"
        assert score.score == pytest.approx(ALL[score.metric], abs=1e-9)
        assert score.per_caption == pytest.approx({entry["name"]: entry[score.metric] for entry in CAPTIONS}, abs=1e-9)


@needs_java
def test_a_line_break_in_a_caption_moves_no_other() -> None:
    breaks = {"one": "\n", "other": "é\r\n!"}
    odd = [CaptionPair(name=name, references=("a\rb\u2028c",), found=found) for name, found in breaks.items()]
    words = tokenized([*odd, PAIRS[0]])
    assert [pair.found for pair in words.pairs] == ["", "é", "a man rides a horse slowly"]
    assert words.pairs[0].references == ("a b c",)


def test_cider_goes_without_java_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = tokenized(PAIRS, "plain")
    assert words.pairs[0].references[0] == "a man in a red t-shirt doesn't ride the well-known horse slowly"
    score = cider(words)
    assert score.tokenizer == "plain"
    assert score.score == pytest.approx(ALL["CIDEr"], abs=0.5)
    for work in (lambda: tokenized(PAIRS), lambda: meteor(words)):
        with pytest.raises(CaptionMetricError, match="needs Java, and there is no `java` on the path\n  fix: install"):
            work()


def test_a_java_that_fails_is_an_error_and_no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho no room for the heap >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CaptionMetricError, match="tokenizer failed: no room for the heap\n\n  fix: solve the problem that Java reports"
    ):
        tokenized(PAIRS)
    with pytest.raises(CaptionMetricError, match="METEOR failed: no room for the heap"):
        meteor(tokenized(PAIRS, "plain"))


def test_the_same_words_score_full_and_a_caption_alone_nothing() -> None:
    same = [CaptionPair(name=pair.name, references=(pair.found,), found=pair.found) for pair in PAIRS]
    assert cider(tokenized(same, "plain")).score == pytest.approx(10)
    assert cider(tokenized(same[:1], "plain")).score == 0


def test_captions_that_cannot_be_scored_are_refused() -> None:
    for pairs in ([], [PAIRS[0], PAIRS[0]], [CaptionPair(name="x", references=(), found="a dog")]):
        with pytest.raises(ValueError, match="unique names, and at least one reference per caption"):
            tokenized(pairs, "plain")
