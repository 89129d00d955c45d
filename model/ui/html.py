"""The page's texts as HTML: answers with phrases in the colours of their masks, facts, errors, progress.

All text from visitors, files and models is escaped here, and only here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from refsav.errors import RefSavError
from refsav.model.families.mllm import IMAGE_MARK
from refsav.model.output.palette import colours, is_light
from refsav.model.prediction import TextAnswer

_PHRASE_OR_SEG = re.compile(r"<p>(?P<phrase>.*?)</p>|(?P<seg>\[SEG\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """How much of one object was found."""

    phrase: str
    areas_px: tuple[int, ...]
    """Area of its mask in each frame, in pixels."""
    frame_px: int
    """Area of a frame, in pixels."""

    @property
    def extent(self) -> str:
        """How much of it was found, as text."""
        seen = sum(area > 0 for area in self.areas_px)
        if len(self.areas_px) > 1:
            return f"seen in {seen} of {len(self.areas_px)} frames" if seen else "seen in no frame"
        return f"{_percent(self.areas_px[0] / self.frame_px)} of the image" if seen else "not found"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def answers(given: Sequence[TextAnswer], names: Sequence[str] = (), *, masks_expected: bool = False) -> str:
    """Format the model's answers, with phrases in the colours of their masks.

    Args:
        given: The answers. If there are several, each is shown below its prompt.
        names: What to show in place of the prompts, one for each answer; empty for the prompts.
        masks_expected: Whether an answer without masks gets a note.
    """
    number, parts = 1, []
    for index, answer in enumerate(given):
        prompt = names[index] if names else answer.prompt.replace(IMAGE_MARK, "").strip()
        parts.append(f'<p class="asked">{escape(prompt)}</p>' if len(given) > 1 else "")
        parts.append(f'<p class="said">{_coloured(answer, number)}</p>')
        if not answer.complete:
            parts.append('<p class="note">The answer was cut off: allow more tokens in the settings.</p>')
        number += len(answer.phrases)
        if masks_expected and not answer.phrases:
            parts.append('<p class="note">No mask: the answer contains no [SEG].</p>')
    return "".join(parts)


def _coloured(answer: TextAnswer, first: int) -> str:
    """Format one answer; `first` is the number of its first mask."""
    in_text = answer.text.count("[SEG]")
    next_number, last = first + max(0, len(answer.phrases) - in_text), first + len(answer.phrases) - 1
    pieces, end = [], 0
    matches = list(_PHRASE_OR_SEG.finditer(answer.text))
    for index, match in enumerate(matches):
        pieces.append(escape(answer.text[end : match.start()]))
        end = match.end()
        has_mask = next_number <= last
        if match["seg"]:
            pieces.append(disc(next_number) if has_mask else "")
            next_number += 1
        else:
            seg_follows = index + 1 < len(matches) and bool(matches[index + 1]["seg"])
            tint = f' style="--tint: rgb{_rgb(next_number)}"' if seg_follows and has_mask else ""
            phrase = match["phrase"]
            pieces.append(" " if phrase[:1].isspace() else "")
            pieces.append(f'<mark class="phrase"{tint}>{escape(" ".join(phrase.split()))}</mark>')
            pieces.append(" " if phrase[-1:].isspace() else "")
    return "".join([*pieces, escape(answer.text[end:])])


def _rgb(number: int) -> tuple[int, int, int]:
    return colours(number)[number - 1]


def disc(number: int) -> str:
    """Format an object's number in its colour, as the overlay shows it."""
    ink = "#0e1014" if is_light(_rgb(number)) else "#fff"
    return f'<span class="disc" style="background: rgb{_rgb(number)}; color: {ink}">{number}</span>'


def legend(objects: Sequence[ObjectSummary]) -> str:
    """List the objects with their numbers and how much of each was found."""
    rows = (
        f"<li>{disc(number)}<span>{escape(one.phrase or f'object {number}')}</span><small>{one.extent}</small></li>"
        for number, one in enumerate(objects, 1)
    )
    return f'<ul class="legend">{"".join(rows)}</ul>' if objects else ""


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """List how a result was made, as names and values."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts" aria-label="How this was made">{rows}</dl>'


def error(failure: RefSavError, hidden: Path) -> str:
    """Format an error for a visitor: the problem and the fix, without the server's paths.

    Args:
        failure: The error.
        hidden: A folder whose path is removed from the texts; of the file that the error is about, only the name is
            shown.
    """
    place = ", ".join(filter(None, (Path(failure.path).name, failure.where)))
    problem = f"“{place}” {failure.problem}" if place else failure.problem
    return alert(problem.replace(f"{hidden}/", ""), failure.fix.replace(f"{hidden}/", ""))


def alert(problem: str, fix: str = "") -> str:
    """Format a problem and its fix."""
    advice = f"<p>{escape(_sentence(fix))}</p>" if fix else ""
    return f'<div class="alert" role="alert"><strong>{escape(_sentence(problem))}</strong>{advice}</div>'


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def note(text: str) -> str:
    """Format a remark."""
    return f'<p class="note">{escape(text)}</p>'


def progress(text: str, share: float | None = None) -> str:
    """Format what is being done; `share` is the completed share, 0-1, or None if it is unknown."""
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="progress" role="status"><span>{escape(text)}</span><progress{value} '
        f'aria-label="{escape(text, quote=True)}"></progress></div>'
    )


def header(name: str, properties: Iterable[str]) -> str:
    """Format the head of the page: its purpose, the model's name and the model's properties."""
    chips = "".join(f"<span>{escape(one)}</span>" for one in properties)
    return (
        "<header><div><h1>Ask about an image or a video</h1>"
        "<p>Name what you look for, ask a question, or click on objects. Answers come with masks.</p></div>"
        f'<p class="chips" aria-label="Model"><strong>{escape(name)}</strong>{chips}</p></header>'
    )


def heading(number: int, text: str) -> str:
    """Format the heading of one of the page's steps."""
    return f"<h2>{disc(number)}{escape(text)}</h2>"


FOOTER = "<footer>Everything stays on the machine that runs this page and is deleted when the server ends.</footer>"

EMPTY = (
    '<div class="empty"><svg viewBox="0 0 120 80" aria-hidden="true"><rect x="1" y="1" width="118" height="78" rx="8"/>'
    '<path d="M8 66 40 34l20 20 14-12 38 28"/><circle class="one" cx="84" cy="26" r="12"/>'
    '<path class="two" d="M24 22h26v22H24z"/></svg><p>The answer, the masks and the files appear here.</p></div>'
)
