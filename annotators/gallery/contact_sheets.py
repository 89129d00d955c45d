"""Small contact sheets from the images of the gallery, for pages that cannot show the gallery itself."""

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
"""Frames in a sheet."""
LONGEST_SIDE_PX = 200
"""Of each frame; a sheet has about 30 KB."""
QUALITY = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactSheet:
    """One described object."""

    name: str
    """For example "sav_000001 manual 2"."""
    text: str
    """Its expression."""
    jpeg: bytes
    """Frames side by side, the object outlined."""


def newest_sheets(run: RunDirectory, count: int) -> list[ContactSheet]:
    """Draw sheets of the objects that were described last, one for each video, if they have images."""
    chunks = sorted((run.report / "data").glob("bundle-*.js"), reverse=True)
    return list(islice((sheet for chunk in chunks for sheet in _sheets_of(run.report, chunk)), count))


def _sheets_of(report: Path, chunk: Path) -> Iterator[ContactSheet]:
    try:
        entries = [entry for entry in read_chunk(chunk) if entry["status"] == "kept" and "pictures" in entry]
    except RecordError:  # the gallery's index reports it
        return
    for _, of_video in groupby(entries, key=lambda entry: str(entry["video"])):
        entry = next(of_video)
        if stills := _stills(report, entry):
            name = f"{entry['video']} {entry['source']} {entry['masklet']}"
            yield ContactSheet(name=name, text=str(entry["expression"]), jpeg=encode_view(np.hstack(stills), QUALITY))


def _stills(report: Path, entry: Mapping[str, Any]) -> list[Image]:
    """Read some frames in which the object is visible, scaled down; empty if the images are gone."""
    pictures = Pictures.from_json(entry["pictures"])
    seen = [number for number, visible in enumerate(pictures.visible) if visible]
    chosen = [seen[at] for at in sorted({at * len(seen) // STILLS for at in range(STILLS)})] if seen else []
    read = [cv2.imread(str(report / pictures.folder / f"video-{number}.jpg")) for number in chosen]
    return [fit(image[..., ::-1].astype(np.uint8), LONGEST_SIDE_PX) for image in read if image is not None]
