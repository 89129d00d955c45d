"""Exports of predicted masks: the JSON file of the official scripts, and the archive for test servers."""

import zipfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from refsav.benchmarks.suite_runner import BenchmarkDirectory
from refsav.benchmarks.suites.video_rows import masks_of
from refsav.datasets.external.coco_segmentation import empty
from refsav.datasets.image_files import encode_mask_png
from refsav.datasets.masks import decode
from refsav.datasets.records import Rle
from refsav.disk.files import appearing
from refsav.disk.json_stream import JsonObject
from refsav.errors import RecordError

PREDICTIONS, SUBMISSION = "predictions.json", "submission.zip"

COLUMNS = ["video_id", "exp_id", "height", "width", "frame_names", "masks"]

BEGINNING = (1980, 1, 1, 0, 0, 0)
"""Timestamp of every file in an archive, so that equal masks give equal bytes."""


def write_predictions(run: BenchmarkDirectory) -> Path:
    """Write {video: {expression: {"prediction_masks": [RLE, …]}}}, as the official scripts read it.

    Returns:
        Path of the file.

    Raises:
        RecordError: If a part is damaged.
        DiskError: If the file cannot be written.
    """
    path = run.root / PREDICTIONS
    with appearing(path) as temporary, temporary.open("w", encoding="ascii") as stream:
        videos = JsonObject(stream)
        for video_id, rows in groupby(_rows(run), key=lambda row: row["video_id"]):
            videos.add(video_id, {row["exp_id"]: {"prediction_masks": _official(row)} for row in rows})
        videos.close()
    return path


def write_submission(run: BenchmarkDirectory) -> Path:
    """Write Annotations/<video>/<expression>/<frame>.png, 255 on the object, as both test servers expect it.

    Returns:
        Path of the archive.

    Raises:
        RecordError: If a part is damaged.
        DiskError: If the file cannot be written.
    """
    path = run.root / SUBMISSION
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for row in _rows(run):
            folder = PurePosixPath("Annotations", row["video_id"], row["exp_id"])
            for name, mask in zip(row["frame_names"], masks_of(row), strict=True):
                size = (row["height"], row["width"])
                archive.writestr(zipfile.ZipInfo(str(folder / f"{name}.png"), BEGINNING), _png(mask, size))
    return path


def _rows(run: BenchmarkDirectory) -> Iterator[Mapping[str, Any]]:
    for part in run.parts:
        try:
            yield from pq.read_table(part, columns=COLUMNS).to_pylist()
        except (OSError, ValueError) as error:  # includes those of pyarrow
            fix = "delete it and run the same command again"
            raise RecordError(part, "", f"cannot be read as Parquet: {error}", fix) from error


def _official(row: Mapping[str, Any]) -> list[dict[str, object]]:
    blank = empty((row["height"], row["width"]))
    masks = [mask or blank for mask in masks_of(row)]
    return [{"size": list(mask.size), "counts": mask.counts} for mask in masks]


def _png(mask: Rle | None, size: tuple[int, int]) -> bytes:
    return encode_mask_png(np.zeros(size, np.bool_) if mask is None else decode(mask))
