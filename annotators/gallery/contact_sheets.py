"""Small strips of what the gallery has drawn, for pages that cannot show the gallery itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from refsav.annotators.gallery.chunk import read_chunk
from refsav.annotators.gallery.entries import Pictures
from refsav.annotators.stages.views import encode_view, fit
from refsav.datasets.frames import Image
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError

STILLS = 4
"""Frames in a strip."""
LONGEST_SIDE_PX = 200
"""Of each of them: some 30 KB a strip."""
QUALITY = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One described object."""

    name: str
    """For example "sav_000001 manual 2"."""
    text: str
    """Its expression."""
    jpeg: bytes
    """Frames side by side, the object outlined."""


def newest_strips(run: RunDirectory, count: int) -> list[Strip]:
    """Draw strips of objects that were described last, no two of one video; fewer where fewer have pictures."""
    chunks = sorted((run.report / "data").glob("bundle-*.js"), reverse=True)
    return list(islice((strip for chunk in chunks for strip in _strips_of(run.report, chunk)), count))


def _strips_of(report: Path, chunk: Path) -> Iterator[Strip]:
    try:
        entries = [entry for entry in read_chunk(chunk) if entry["status"] == "kept" and "pictures" in entry]
    except RecordError:  # the gallery's own index tells it
        return
    for _, of_video in groupby(entries, key=lambda entry: str(entry["video"])):
        entry = next(of_video)
        if stills := _stills(report, entry):
            name = f"{entry['video']} {entry['source']} {entry['masklet']}"
            yield Strip(name=name, text=str(entry["expression"]), jpeg=encode_view(np.hstack(stills), QUALITY))


def _stills(report: Path, entry: Mapping[str, Any]) -> list[Image]:
    """Read some frames in which the object is seen, made small; none if the pictures are gone."""
    pictures = Pictures.from_json(entry["pictures"])
    seen = [place for place, visible in enumerate(pictures.visible) if visible]
    chosen = [seen[at] for at in sorted({at * len(seen) // STILLS for at in range(STILLS)})] if seen else []
    read = [cv2.imread(str(report / pictures.folder / f"video-{place}.jpg")) for place in chosen]
    return [fit(image[..., ::-1].astype(np.uint8), LONGEST_SIDE_PX) for image in read if image is not None]
