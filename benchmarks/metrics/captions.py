"""METEOR and CIDEr of captions with pycocoevalcap, the code behind the scores of GLaMM, Sa2VA and region captioning.

METEOR 1.5 and the official tokenizer are Java programs in that package; they need a Java runtime. CIDEr is Python and
needs no Java with the tokenizer "plain", but then differs from published scores.
"""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from refsav.errors import RefSavError
from refsav.extras import require

TokenizerName = Literal["ptb", "plain"]
"""ptb: Stanford's Penn Treebank tokenizer, as COCO's evaluation runs it; plain: the regular expression WORD."""

WORD = re.compile(r"\w+(?:[-'’.]\w+)*")
"""A word for "plain": contractions and parts joined by a hyphen or a point are one word; punctuation is dropped."""

JAR = "stanford-corenlp-3.4.1.jar"


class CaptionMetricError(RefSavError):
    """METEOR or the official tokenizer could not be run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionPair:
    """The reference captions of one image or region, and the predicted one."""

    name: str
    references: tuple[str, ...]
    """At least one."""
    found: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizedCaptions:
    """Captions as words separated by single spaces; made by `tokenized`."""

    tokenizer: TokenizerName
    pairs: tuple[CaptionPair, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionScore:
    """One metric over a whole set."""

    metric: Literal["METEOR", "CIDEr"]
    tokenizer: TokenizerName
    score: float
    """METEOR: from statistics of the whole set, not a mean, fraction 0-1. CIDEr: the mean, from 0 to 10."""
    per_caption: Mapping[str, float]


def tokenized(pairs: Sequence[CaptionPair], tokenizer: TokenizerName = "ptb") -> TokenizedCaptions:
    """Split captions into lower-case words without punctuation.

    Raises:
        ValueError: If there is no caption, a caption has no reference, or two captions have the same name.
        CaptionMetricError: If "ptb" cannot be run.
        MissingExtraError: If pycocoevalcap is not installed, for "ptb".
    """
    names = {pair.name for pair in pairs}
    if not pairs or len(names) != len(pairs) or not all(pair.references for pair in pairs):
        raise ValueError("expected at least one caption, unique names, and at least one reference per caption")
    texts = [text for pair in pairs for text in (pair.found, *pair.references)]
    words = iter(_penn_treebank(texts) if tokenizer == "ptb" else [_plain(text) for text in texts])
    return TokenizedCaptions(
        tokenizer=tokenizer,
        pairs=tuple(
            CaptionPair(name=pair.name, found=next(words), references=tuple(next(words) for _ in pair.references))
            for pair in pairs
        ),
    )


def cider(captions: TokenizedCaptions) -> CaptionScore:
    """Compute CIDEr. A word weighs more the rarer it is in all references, so a single caption scores 0.

    Raises:
        MissingExtraError: If pycocoevalcap is not installed.
    """
    require("bench", "pycocoevalcap")
    from pycocoevalcap.cider.cider import Cider

    score, each = Cider().compute_score(*_as_lists(captions))
    return _score("CIDEr", captions, score, each)


def meteor(captions: TokenizedCaptions) -> CaptionScore:
    """Compute METEOR 1.5 with stems, synonyms and paraphrases of English.

    Raises:
        CaptionMetricError: If there is no Java, or the program fails.
        MissingExtraError: If pycocoevalcap is not installed.
    """
    require("bench", "pycocoevalcap")
    _java("METEOR")
    from pycocoevalcap.meteor.meteor import Meteor

    program = Meteor()
    try:
        score, each = program.compute_score(*_as_lists(captions))
    except (OSError, ValueError) as error:  # the program has ended, or its output is not a number
        program.meteor_p.kill()
        words = program.meteor_p.stderr.read().decode(errors="replace")
        with contextlib.suppress(OSError):
            program.meteor_p.stdin.close()  # the destructor closes it too, and would complain
        program.lock.release()  # the failed call left it locked; the destructor would wait forever
        raise CaptionMetricError(f"METEOR failed: {words[-500:] or error}", fix="give it 2 GB of memory") from error
    return _score("METEOR", captions, score, each)


def _penn_treebank(texts: Sequence[str]) -> list[str]:
    """Run the tokenizer as pycocoevalcap does, but through standard input: the package's folder may be read-only."""
    require("bench", "pycocoevalcap")
    from pycocoevalcap.tokenizer import ptbtokenizer

    command = [_java("the Penn Treebank tokenizer"), "-cp", str(Path(ptbtokenizer.__file__).parent / JAR)]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    one_a_line = "".join(
        f"{' '.join(text.split())}\n" for text in texts
    )  # a line break inside a text would shift all later ones
    done = subprocess.run(command, input=one_a_line.encode(), capture_output=True, check=False)
    lines = done.stdout.decode(errors="replace").split("\n")[:-1]
    if done.returncode or len(lines) != len(texts):
        words = done.stderr.decode(errors="replace")[-500:]
        fix = (
            "solve the problem that Java reports, or use the tokenizer plain, which needs no Java and gives CIDEr only"
        )
        raise CaptionMetricError(f"the Penn Treebank tokenizer failed: {words}", fix=fix)
    return [" ".join(word for word in line.split() if word not in ptbtokenizer.PUNCTUATIONS) for line in lines]


def _plain(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))


def _java(what: str) -> str:
    java = shutil.which("java")
    if java is None:
        raise CaptionMetricError(
            f"{what} needs Java, and there is no `java` on the path",
            fix="install a Java runtime, version 8 or newer (Debian: apt-get install default-jre-headless), or use the "
            "tokenizer plain, which gives CIDEr only",
        )
    return java


def _as_lists(captions: TokenizedCaptions) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    references = {pair.name: list(pair.references) for pair in captions.pairs}
    return references, {pair.name: [pair.found] for pair in captions.pairs}


def _score(
    metric: Literal["METEOR", "CIDEr"], captions: TokenizedCaptions, score: float, each: Sequence[float]
) -> CaptionScore:
    return CaptionScore(
        metric=metric,
        tokenizer=captions.tokenizer,
        score=float(score),
        per_caption={pair.name: float(one) for pair, one in zip(captions.pairs, each, strict=True)},
    )
