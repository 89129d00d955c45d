"""The parts of the documentation that tests check: Python blocks, commands, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<body>.*?)\n```", re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
COPY = re.compile(r"<!-- a copy of (?P<file>\S+) -->")


class Block(NamedTuple):
    """A fenced block."""

    page: str
    line: int
    language: str
    body: str
    is_run: bool
    copy_of: str
    """File that the block repeats, for readers on GitHub; "" if it stands only here."""


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("body")) + 1
            copy = COPY.fullmatch(match["before"])
            is_run = not copy and not NOT_RUN.fullmatch(match["before"])
            copy_of = copy["file"] if copy else ""
            yield Block(str(page.relative_to(ROOT)), line, match["language"], match["body"], is_run, copy_of)


def python_blocks() -> list[Block]:
    return [block for block in blocks() if block.language == "python"]


def command_lines(program: str) -> list[tuple[str, list[str]]]:
    """Every command of a program that a block or a code span shows, as (location, arguments)."""
    found = []
    for block in blocks():
        if block.language in ("", "sh", "bash"):
            lines = block.body.replace("\\\n", " ").splitlines()
            found += [(f"{block.page}:{block.line}", line) for line in lines]
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        found += [(str(page.relative_to(ROOT)), span) for span in INLINE.findall(text)]
    return [
        (location, shlex.split(line, comments=True)[1:])
        for location, line in found
        if line.startswith(f"{program} ") and "=" not in line.split()[0]
    ]


def links() -> Iterator[tuple[Path, str]]:
    """Every relative link of a page."""
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target):
                yield page, target.partition("#")[0]
