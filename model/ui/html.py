"""What the page says, as HTML: answers whose phrases have the colours of their masks, facts, errors, progress.

Whatever comes from people, files or models is escaped here, and nowhere else.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from refsav.errors import RecordError, RefSavError
from refsav.model.families.mllm import IMAGE_MARK
from refsav.model.input_errors import InputError
from refsav.model.output.palette import colours, is_light
from refsav.model.prediction import TextAnswer

_PIECE = re.compile(r"<p>(?P<phrase>.*?)</p>|(?P<seg>\[SEG\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """What became of one object."""

    phrase: str
    areas_px: tuple[int, ...]
    """Area of its mask in each frame."""
    frame_px: int
    """Area of a frame."""

    @property
    def words(self) -> str:
        """How much of it was found, for a person."""
        seen = sum(area > 0 for area in self.areas_px)
        if len(self.areas_px) > 1:
            return f"seen in {seen} of {len(self.areas_px)} frames" if seen else "seen in no frame"
        return f"{_share(self.areas_px[0] / self.frame_px)} of the picture" if seen else "nothing found"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def answers(said: Sequence[TextAnswer], names: Sequence[str] = (), *, masks_wanted: bool = False) -> str:
    """What the model said, phrase by phrase in the colours of the masks; each answer under what it was asked."""
    number, parts = 1, []
    for place, one in enumerate(said):
        asked = names[place] if names else one.prompt.replace(IMAGE_MARK, "").strip()
        parts.append(f'<p class="asked">{escape(asked)}</p>' if len(said) > 1 else "")
        parts.append(f'<p class="said">{_coloured(one, number)}</p>')
        if not one.complete:
            parts.append('<p class="note">The answer was cut off: allow more tokens in the settings.</p>')
        number += len(one.phrases)
        if masks_wanted and not one.phrases:
            parts.append('<p class="note">No mask: the answer points at nothing (it has no [SEG]).</p>')
    return "".join(parts)


def _coloured(said: TextAnswer, first: int) -> str:
    """One answer; its masks' numbers begin at `first`."""
    in_text = said.text.count("[SEG]")
    next_number, last = first + max(0, len(said.phrases) - in_text), first + len(said.phrases) - 1
    pieces, end = [], 0
    matches = list(_PIECE.finditer(said.text))
    for place, match in enumerate(matches):
        pieces.append(escape(said.text[end : match.start()]))
        end = match.end()
        known = next_number <= last
        if match["seg"]:
            pieces.append(disc(next_number) if known else "")
            next_number += 1
        else:
            follows = place + 1 < len(matches) and bool(matches[place + 1]["seg"])
            tint = f' style="--tint: rgb{_rgb(next_number)}"' if follows and known else ""
            phrase = match["phrase"]
            pieces.append(" " if phrase[:1].isspace() else "")
            pieces.append(f'<mark class="phrase"{tint}>{escape(" ".join(phrase.split()))}</mark>')
            pieces.append(" " if phrase[-1:].isspace() else "")
    return "".join([*pieces, escape(said.text[end:])])


def _rgb(number: int) -> tuple[int, int, int]:
    return colours(number)[number - 1]


def disc(number: int) -> str:
    """An object's number in its colour, as the pictures have it."""
    ink = "#0e1014" if is_light(_rgb(number)) else "#fff"
    return f'<span class="disc" style="background: rgb{_rgb(number)}; color: {ink}">{number}</span>'


def legend(found: Sequence[ObjectSummary]) -> str:
    """The objects with their numbers, and how much of each was found."""
    rows = (
        f"<li>{disc(number)}<span>{escape(one.phrase or f'object {number}')}</span><small>{one.words}</small></li>"
        for number, one in enumerate(found, 1)
    )
    return f'<ul class="legend">{"".join(rows)}</ul>' if found else ""


def facts(told: Sequence[tuple[str, str]]) -> str:
    """How a result was made: names and values."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in told)
    return f'<dl class="facts" aria-label="How this was made">{rows}</dl>'


def error(failure: RefSavError, hidden: Path) -> str:
    """An error as a person reads it: what is wrong, what to do; no path of the server's."""
    if isinstance(failure, RecordError):
        place = f"{failure.path.name}, {failure.where}" if failure.where else failure.path.name
        problem, fix = f"“{place}” {failure.problem}", failure.fix
    elif isinstance(failure, InputError):
        problem, fix = failure.problem, failure.fix
    else:
        problem, _, fix = str(failure).partition("\n  fix: ")
    return alert(problem.replace(f"{hidden}/", ""), fix.replace(f"{hidden}/", ""))


def alert(problem: str, fix: str = "") -> str:
    """Something that went wrong, and what to do."""
    told = f"<p>{escape(_sentence(fix))}</p>" if fix else ""
    return f'<div class="alert" role="alert"><strong>{escape(_sentence(problem))}</strong>{told}</div>'


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def note(text: str) -> str:
    """Something that is good to know."""
    return f'<p class="note">{escape(text)}</p>'


def progress(text: str, share: float | None = None) -> str:
    """What is being done; `share` 0-1 of it is done, None where nobody knows."""
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="progress" role="status"><span>{escape(text)}</span><progress{value} '
        f'aria-label="{escape(text, quote=True)}"></progress></div>'
    )


def header(name: str, told: Iterable[str]) -> str:
    """The head of the page: what is asked here."""
    chips = "".join(f"<span>{escape(one)}</span>" for one in told)
    return (
        "<header><div><h1>Ask about a picture or a video</h1>"
        "<p>Name what you look for, ask in your own words, or click on it. Answers come with masks.</p></div>"
        f'<p class="chips" aria-label="Model"><strong>{escape(name)}</strong>{chips}</p></header>'
    )


def heading(number: int, text: str) -> str:
    """The heading of one of the page's steps."""
    return f"<h2>{disc(number)}{escape(text)}</h2>"


FOOTER = (
    "<footer>Everything stays on the machine that runs this page, and is removed from it when the page’s server ends."
    "</footer>"
)

EMPTY = (
    '<div class="empty"><svg viewBox="0 0 120 80" aria-hidden="true"><rect x="1" y="1" width="118" height="78" rx="8"/>'
    '<path d="M8 66 40 34l20 20 14-12 38 28"/><circle class="one" cx="84" cy="26" r="12"/>'
    '<path class="two" d="M24 22h26v22H24z"/></svg><p>The answer, the masks and the files appear here.</p></div>'
)
