"""A complete benchmark suite, the example of docs/extend.md: it segments the object that an image is named after.

DATA holds pairs of files, such as `red box.png` and `red box.mask.png`, which is 255 on the object.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from refsav.benchmarks.metrics.image_iou import sentence_score
from refsav.benchmarks.suites.answerer import Answerer
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.row_schema import row_kind
from refsav.benchmarks.suites.suite import Suite, Summary
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import decode_all
from refsav.model.media.clip import open_clip


@dataclass(frozen=True)
class NamedImages:
    """The dataset: one item per image, read when its turn comes."""

    name: str
    files: tuple[Path, ...]  # the masks; result.json has a digest of these files

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Path:
        return self.files[index]


@dataclass(frozen=True)
class NamedRow:
    """One answer with its score: a row of scores.parquet."""

    number: int  # position among the rows of the same image
    expression: str
    iou: float  # fraction 0-1


def open_named_images(name: str, folder: Path, _options: SuiteOptions) -> Suite[Path, NamedRow]:
    """Open the suite; this is the function that the registry names."""
    data, rows = NamedImages(folder.name, tuple(sorted(folder.glob("*.mask.png")))), row_kind(NamedRow)
    return Suite(name=name, protocol="mean IoU", dataset=data, measure=_measure, rows=rows, summarize=_summarize)


def _measure(answerer: Answerer, file: Path) -> list[NamedRow]:
    truth, expression = read_image(file)[..., 0] > 0, file.name.removesuffix(".mask.png")
    prompt = f"<image>\nPlease segment the {expression}."
    (answer,) = answerer.ask(open_clip(file.with_name(f"{expression}.png")), [prompt], first_only=True)
    found = decode_all(answer.masks[0] if answer.masks else (None,), truth.shape)
    return [NamedRow(0, expression, sentence_score(truth, found[0]).iou)]


def _summarize(rows: Iterator[NamedRow]) -> Summary:
    return Summary(scores={"overall": {"mIoU": 100 * mean(row.iou for row in rows)}})
