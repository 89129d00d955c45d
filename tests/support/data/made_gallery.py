"""A hand-written run of one bundle with two videos, and its gallery."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from refsav.annotators.bundles.plan import Bundle
from refsav.annotators.gallery.bundle_pages import ReportConfig, pictured_each, write_bundle
from refsav.annotators.gallery.chunk import chunk_path, read_chunk
from refsav.annotators.gallery.preview import encode_preview
from refsav.annotators.stages.views import ViewsConfig
from refsav.datasets.masks import encode
from refsav.datasets.records import (
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Unreadable,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig

SIZE = (48, 64)

ROWS = 6

VIEWS = ViewsConfig(frames=4)

REPORT = ReportConfig()

SOURCE = SourceConfig()


def track(video_id: str, masklet_id: int, hidden: tuple[int, ...] = ()) -> ObjectTrack:
    """A square that moves right, 3 pixels an annotated frame."""
    masks = []
    for row in range(ROWS):
        mask = np.zeros(SIZE, bool)
        mask[10:30, 8 + 3 * row : 28 + 3 * row] = True
        masks.append(None if row in hidden else encode(mask))
    return ObjectTrack(
        video_id=video_id,
        source="manual",
        masklet_id=masklet_id,
        column=masklet_id,
        size=SIZE,
        masks=tuple(masks),
        areas_px=tuple(0 if mask is None else 400 for mask in masks),
    )


def expression(of: ObjectTrack, text: str = "A red square that moves right.") -> Expression:
    return Expression(
        track=of,
        captions=ObjectCaptions(crop="A red square.", masked="A square."),
        verdict=Verdict(consistent=True, confidence=0.9, reason=""),
        scene=SceneCaption(text="A red square on grey."),
        video=VideoCaption(text=text),
        provenance=Provenance(vlm="attributes", judge="attributes", prompts="12ab"),
    )


class Made:
    """A run of one bundle with two videos, written by hand."""

    def __init__(self, folder: Path) -> None:
        self.run = RunDirectory(folder / "run")
        self.source = folder / "source"
        self.source.mkdir()
        grey = np.full((*SIZE, 3), 110, np.uint8)
        for name in ("sav_1", "sav_2"):
            (self.source / f"{name}.mp4").write_bytes(encode_preview([grey] * (4 * ROWS), SIZE, 24.0))
        self.videos = tuple(
            VideoFile(video_id=name, media=self.source / f"{name}.mp4", annotations=(), folder="")
            for name in ("sav_1", "sav_2")
        )
        self.bundle = Bundle(name="bundle-000000", videos=self.videos)
        judged = Dropped(
            track=track("sav_1", 1),
            stage="judge",
            reason="One is red, the other blue.",
            crop_caption="A red square.",
            masked_caption="A blue square.",
            confidence=0.8,
        )
        empty = replace(track("sav_2", 1), masks=(None,) * ROWS, areas_px=(0,) * ROWS)
        self.write(
            expressions=[expression(track("sav_1", 0, hidden=(2,))), expression(track("sav_2", 0))],
            dropped=[judged, Dropped(track=empty, stage="filter", reason="never visible: every mask is empty")],
            failed=[
                Failed(
                    key=ObjectKey("sav_2", "manual", 2),
                    column=2,
                    stage="source",
                    error="/data/sav_2_manual.json:masklet[3][2]: mask is cut short; fix: download the file again",
                    request_digest="",
                )
            ],
        )

    def write(self, **parts: list) -> None:
        self.parts = getattr(self, "parts", {}) | parts
        write_parts(self.run, self.bundle.name, unreadable=[Unreadable(path="x.mp4", error="no masks")], **self.parts)

    def draw(self, config: ReportConfig = REPORT, views: ViewsConfig = VIEWS) -> dict[str, dict]:
        write_bundle(self.run, self.bundle, views, SOURCE, config, pictured_each(self.run, config))
        entries = read_chunk(chunk_path(self.run, self.bundle.name))
        return {f"{entry['video']}/{entry['masklet']}": entry for entry in entries}

    def folders(self) -> list[str]:
        return sorted(path.relative_to(self.run.report).as_posix() for path in self.run.report.glob("media/*/*"))
