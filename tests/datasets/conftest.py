"""Expressions without a model: the objects of real videos, with texts that name their object."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from refsav.datasets.masks import encode
from refsav.datasets.records import (
    Expression,
    ObjectCaptions,
    ObjectTrack,
    Provenance,
    Rle,
    SceneCaption,
    Source,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover, read_video
from refsav.datasets.shards.index import ShardEntry, write_index
from refsav.datasets.shards.plan import ShardConfig, plan_shards
from refsav.datasets.shards.splits import Assignment
from refsav.datasets.shards.writer import write_shard

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when Hugging Face's libraries are imported

MakeTrack = Callable[..., ObjectTrack]
MakeExpression = Callable[..., Expression]
WriteShards = Callable[..., list[ShardEntry]]


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int] | None) -> Rle | None:
    """A filled box (x0, y0, x1, y1), half-open; None for a hidden object."""
    if box is None:
        return None
    mask = np.zeros(size, dtype=np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return encode(mask)


@pytest.fixture(scope="session")
def make_track() -> MakeTrack:
    """Makes a track from boxes, one per annotated frame; None where the object is hidden."""

    def make(
        boxes: tuple[tuple[int, int, int, int] | None, ...] = ((2, 2, 12, 12),),
        *,
        video_id: str = "sav_000001",
        source: Source = "manual",
        masklet_id: int = 0,
        size: tuple[int, int] = (60, 80),
    ) -> ObjectTrack:
        return ObjectTrack(
            video_id=video_id,
            source=source,
            masklet_id=masklet_id,
            column=masklet_id,
            size=size,
            masks=tuple(box_mask(size, box) for box in boxes),
            areas_px=tuple(0 if box is None else (box[2] - box[0]) * (box[3] - box[1]) for box in boxes),
        )

    return make


@pytest.fixture(scope="session")
def make_expression(make_track: MakeTrack) -> MakeExpression:
    """Makes an expression for a track; without one, for a small box."""

    def make(track: ObjectTrack | None = None, text: str = "", **names: object) -> Expression:
        track = track or make_track(**names)
        return Expression(
            track=track,
            captions=ObjectCaptions(crop=f"crop of {track.key}", masked=f"masked {track.key}"),
            verdict=Verdict(consistent=True, confidence=0.75, reason=""),
            scene=SceneCaption(text=f"scene of {track.key}"),
            video=VideoCaption(text=text or f"The object {track.key} moves through the whole video."),
            provenance=Provenance(vlm="attributes:1", judge="attributes:1", prompts="0" * 64),
        )

    return make


@pytest.fixture(scope="session")
def real_videos(sav_data: Path) -> dict[str, VideoObjects]:
    """The three complete real videos with their objects, by video id."""
    files = [found for found in discover(sav_data, SourceConfig()) if isinstance(found, VideoFile)]
    whole = [file for file in files if file.folder == ""]
    return {file.video_id: read_video(file, SourceConfig()) for file in whole}


@pytest.fixture(scope="session")
def real_expressions(real_videos: dict[str, VideoObjects], make_expression: MakeExpression) -> list[Expression]:
    """An expression for every object of the real videos."""
    return [make_expression(track) for video in real_videos.values() for track in video.tracks]


@pytest.fixture(scope="session")
def write_shards() -> WriteShards:
    """Plans, writes and indexes all shards of a run one after the other; the flow writes several at a time."""

    def write(
        run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile], config: ShardConfig
    ) -> list[ShardEntry]:
        entries = [write_shard(run, plan, config) for plan in plan_shards(run, splits, videos, config)]
        write_index(run, entries)
        return entries

    return write
