"""Folders in SA-V's layout with real videos, and readers for them."""

import shutil
from pathlib import Path

from refsav.datasets.records import Unreadable
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover, read_video

ANY = SourceConfig()


def read_all(source: Path, config: SourceConfig = ANY) -> dict[str, VideoObjects | Unreadable]:
    """Everything that a source holds, by id of the video, or by path where there is none."""
    entries = discover(source, config)
    return {
        entry.path if isinstance(entry, Unreadable) else entry.video_id: entry
        if isinstance(entry, Unreadable)
        else read_video(entry, config)
        for entry in entries
    }


def copy_two(sav_data: Path, folder: Path) -> Path:
    """Put a real video (two manual objects) into a subfolder, as SA-V has it, and a good one next to it."""
    for name, inner in (("vos_000001", "sav_000"), ("vos_000002", "sav_001")):
        (folder / inner).mkdir()
        for ending in (".mp4", "_manual.json"):
            shutil.copy(sav_data / f"{name}{ending}", folder / inner)
    return folder
