"""Report of an end-to-end run: three scores in benchmark.json, and a page that explains and illustrates them."""

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

from refsav.benchmarks.result import BenchmarkResult
from refsav.disk.files import write_text

PAGE = "index.html"

RUNS = ("trained", "untrained", "shuffled")
"""Runs of the benchmark: the trained model, the model before training, and the shuffled control of the trained one."""

MEANING = {
    "trained": "the trained model",
    "untrained": "the same model before training",
    "shuffled": "the trained model, prompted for each object with another object's expression",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopScores:
    """Scores of an end-to-end run: J&F of the held-out expressions, in percent."""

    jf: float
    jf_untrained: float
    jf_shuffled: float
    """Trained model, prompted for each object with another object's expression; NaN if no video has two objects."""
    not_shuffled: int
    """Expressions whose video has no expression of another object; `jf_shuffled` leaves them out."""
    expressions: int
    videos: int
    without_mask: Mapping[str, int]
    """Answers without `[SEG]`, by run; each scores 0."""
    protocol: str
    settings: Mapping[str, str | int]
    """Settings of inference."""

    @classmethod
    def of(cls, results: Mapping[str, BenchmarkResult]) -> "LoopScores":
        """Collect the scores of the three runs."""
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
    folder: Path, name: str, scores: LoopScores, *, gallery: Path, curve: Path, strips: Sequence[Path]
) -> Path:
    """Write the page. It links to images by relative paths and contains none.

    Args:
        folder: Folder of the page.
        name: Name of the end-to-end run.
        scores: Its scores.
        gallery: The gallery page of the dataset.
        curve: Image of the loss curves.
        strips: Contact sheets of the predicted masks.

    Returns:
        Path of the page.

    Raises:
        DiskError: If it cannot be written.
    """
    page = Template(files(__package__).joinpath("loop_page.html").read_text(encoding="utf-8"))
    figures = zip(RUNS, (scores.jf, scores.jf_untrained, scores.jf_shuffled), strict=True)
    alone = (
        f" ({scores.not_shuffled} have no other object and are not in the third score)" if scores.not_shuffled else ""
    )
    text = page.substitute(
        name=escape(name),
        bars="".join(_bar(MEANING[run], figure, scores.without_mask[run]) for run, figure in figures),
        count=f"{scores.expressions} expressions of {scores.videos} videos{alone}",
        protocol=escape(scores.protocol),
        settings=escape(", ".join(f"{key} {value}" for key, value in scores.settings.items())),
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


def _address(file: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(file, folder)).as_posix())
