"""What came out of the whole loop: three figures in benchmark.json, and a page that shows what they stand for."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from pydantic import TypeAdapter

from refsav.benchmarks.result import Result
from refsav.disk.files import write_text

PAGE = "index.html"

RUNS = ("trained", "untrained", "shuffled")
"""Of the benchmark: the trained model, the same before training, the trained one asked with the words for another."""

MEANING = {
    "trained": "the trained model",
    "untrained": "the same model before training",
    "shuffled": "the trained model, asked for each object with the words for another",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The figures of a loop, in percent; J&F of the held-out expressions."""

    jf: float
    jf_untrained: float
    jf_shuffled: float
    """Of the trained model, asked for each object with the words for another; NaN where no video has any."""
    not_shuffled: int
    """Expressions whose video has no words for another: they are not in that figure."""
    expressions: int
    videos: int
    without_mask: Mapping[str, int]
    """Answers without any `[SEG]`, by run: each counts 0."""
    protocol: str
    settings: Mapping[str, str | int]
    """Of inference."""

    @classmethod
    def of(cls, results: Mapping[str, Result]) -> "Outcome":
        """Take the figures out of the three runs."""
        figures = {name: results[name].scores.get("overall", {}).get("J&F", math.nan) for name in RUNS}
        trained = results["trained"]
        return cls(
            jf=figures["trained"],
            jf_untrained=figures["untrained"],
            jf_shuffled=figures["shuffled"],
            not_shuffled=results["shuffled"].not_scored,
            expressions=trained.rows,
            videos=trained.setup.items,
            without_mask={name: results[name].without_mask for name in RUNS},
            protocol=trained.setup.protocol,
            settings=trained.setup.settings,
        )

    def write(self, path: Path) -> None:
        """Write benchmark.json. Raises DiskError."""
        content = TypeAdapter(dict[str, object]).dump_json(asdict(self), indent=2).decode()
        write_text(path, content + "\n")


def write_page(
    folder: Path, name: str, outcome: Outcome, *, gallery: Path, curve: Path, strips: Sequence[Path]
) -> Path:
    """Write the page; pictures are shown from where they lie, by paths relative to it.

    Args:
        folder: Of the page.
        name: What the loop is called.
        outcome: The figures.
        gallery: Page of the dataset.
        curve: Picture of the losses.
        strips: Pictures of what was found.

    Raises:
        DiskError: If it cannot be written.
    """
    page = Template(files(__package__).joinpath("loop_page.html").read_text(encoding="utf-8"))
    figures = zip(RUNS, (outcome.jf, outcome.jf_untrained, outcome.jf_shuffled), strict=True)
    alone = f". {outcome.not_shuffled} stand alone and are not in the third figure" if outcome.not_shuffled else ""
    text = page.substitute(
        name=escape(name),
        bars="".join(_bar(MEANING[run], figure, outcome.without_mask[run]) for run, figure in figures),
        count=f"{outcome.expressions} expressions of {outcome.videos} videos{alone}",
        protocol=escape(outcome.protocol),
        settings=escape(", ".join(f"{key} {value}" for key, value in outcome.settings.items())),
        gallery=_address(gallery, folder),
        curve=_address(curve, folder),
        strips="".join(f'<img src="{_address(strip, folder)}" alt="{escape(strip.stem)}">' for strip in strips),
    )
    write_text(folder / PAGE, text)
    return folder / PAGE


def _bar(meaning: str, figure: float, without_mask: int) -> str:
    shown, width = ("–", 0.0) if math.isnan(figure) else (f"{figure:.1f}", figure)
    return (
        f'<tr><th>{escape(meaning)}</th><td class="bar"><i style="width: {width:.1f}%"></i></td>'
        f"<td>{shown}</td><td>{without_mask}</td></tr>"
    )


def _address(picture: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(picture, folder)).as_posix())
