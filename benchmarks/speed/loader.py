"""Time to read training examples from shards, compared with decoding the complete video for each, on one core."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed.views import VIDEO_ID, decode_with_opencv, example, milliseconds, one_core
from refsav.datasets.records import (
    Expression,
    ObjectCaptions,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import write_index
from refsav.datasets.shards.plan import ShardConfig, plan_shards
from refsav.datasets.shards.splits import SplitConfig, assign
from refsav.datasets.shards.writer import write_shard
from refsav.datasets.training_sources.ref_sav import RefSavConfig, ShardSource

EXAMPLES = 10
"""Examples per round; each samples its own frames and objects."""

WORDS = 84
"""Number of words of a published expression."""


def measure_loader(sav_data: Path, work: Path, rounds: int = 7) -> Measurement:
    """Measure on SA-V's example video, all objects of both annotation files, on one pinned core.

    Args:
        sav_data: Folder that holds the video.
        work: Folder for a run.
        rounds: Number of rounds.

    Raises:
        RecordError: If the folder lacks the video.
    """
    video, tracks = example(sav_data)
    run = RunDirectory(work / "loader")
    _write_shards(run, video, tracks)
    config = RefSavConfig(path=str(run.root))
    source, random = ShardSource(config), np.random.default_rng(0)
    works = {
        "whole video, OpenCV": milliseconds(lambda: decode_with_opencv(video.media)),
        "example": milliseconds(lambda: source.read(0, random), EXAMPLES),
    }
    with one_core():
        taken = in_turns(works, rounds)
    whole, ours = (Quantity(name=name, unit="ms", rounds=taken[name]) for name in works)
    return Measurement(
        title=f"loader: {config.frames} frames and {config.objects} of {len(tracks)} objects of {VIDEO_ID}, one core",
        quantities=(ours, whole),
        ratios=(
            Ratio.of(
                "examples/s out of a shard / whole videos/s, decoded for each example as the official loader does",
                whole,
                ours,
                Bar("at least", 10.0),
            ),
        ),
        notes=(
            "the official loader also decodes the masks of all frames; this time is not counted",
            "processor time of the one core; files are in the system's cache on both sides",
        ),
    )


def _write_shards(run: RunDirectory, video: VideoFile, tracks: Sequence[ObjectTrack]) -> None:
    """Write the video as a build does, with placeholder texts of the usual length."""
    write_parts(run, "bundle-000000", expressions=map(_expression, tracks), dropped=[], failed=[], unreadable=[])
    files = {video.video_id: video}
    config = ShardConfig()
    plans = plan_shards(run, assign(files, SplitConfig(val_share=0)), files, config)
    write_index(run, [write_shard(run, plan, config) for plan in plans])


def _expression(track: ObjectTrack) -> Expression:
    return Expression(
        track=track,
        captions=ObjectCaptions(crop="", masked=""),
        verdict=Verdict(consistent=True, confidence=1.0, reason=""),
        scene=SceneCaption(text=""),
        video=VideoCaption(text=" ".join([str(track.key)] * WORDS)),
        provenance=Provenance(vlm="none", judge="none", prompts=""),
    )
