"""docs/extend.md shows the examples that other tests run, each once for every extension point."""

import pytest

from tests.support.documentation import ROOT, Block, blocks

COPIES = [block for block in blocks() if block.copy_of]
EXAMPLES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("example_*.py"))
LONGEST = 60
"""Lines of an example: it must fit on a screen and a half."""


def test_every_example_is_shown_once() -> None:
    assert sorted(block.copy_of for block in COPIES) == EXAMPLES


@pytest.mark.parametrize("block", COPIES, ids=lambda block: block.copy_of)
def test_the_page_shows_the_file_that_is_tested(block: Block) -> None:
    text = (ROOT / block.copy_of).read_text(encoding="utf-8").rstrip("\n")
    assert block.body == text, f"{block.page}:{block.line}: copy {block.copy_of} into the page"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_short(example: str) -> None:
    assert len((ROOT / example).read_text(encoding="utf-8").splitlines()) < LONGEST
