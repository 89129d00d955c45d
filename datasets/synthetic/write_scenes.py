"""Writes synthetic scenes in SA-V's training layout, with their ground truth next to them.

    OUT/synth.json                          the settings: a folder holds scenes of one configuration only
    OUT/sav_000/synth_000000.mp4            H.264, yuv420p, 24 frames per second
    OUT/sav_000/synth_000000_manual.json    SA-V annotations of every fourth frame
    OUT/sav_000/synth_000000_auto.json      the same for objects of the source auto; missing if there are none
    OUT/sav_000/synth_000000_truth.json     the ground truth (truth.py); written last: the video is complete

The same settings and seed give the same bytes. If a run is killed, the next one completes the folder.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from refsav.datasets.masks import encode
from refsav.datasets.records import Rle, Source
from refsav.datasets.synthetic.measure import masklet_ids, measure
from refsav.datasets.synthetic.render import Layers, SceneRenderer
from refsav.datasets.synthetic.sample_scene import sample_scene
from refsav.datasets.synthetic.scene import FRAME_STEP, RATE_HZ, Scene, SynthConfig
from refsav.datasets.synthetic.truth import SceneTruth, ambiguity
from refsav.datasets.video_writer import H264, encode_mp4
from refsav.disk.files import DiskError, write_bytes, write_text
from refsav.errors import ConfigError, RecordError

SETTINGS = "synth.json"
SCENES_VERSION = 1
"""Increase this when the same settings give different scenes."""
VIDEOS_PER_FOLDER = 1000
MAX_DRAWS = 300
LARGE_PX, MEDIUM_PX = 96**2, 32**2
"""Lower limits of the mean mask area in SA-V's size buckets."""

ENCODING = H264(preset="superfast", crf=27, x264_params="threads=1:sliced-threads=0", tags_colours=False)
"""One thread and fixed settings: the bytes do not depend on the machine's load or number of cores."""


def write_scenes(out: Path, config: SynthConfig) -> Iterator[str]:
    """Write the videos of `config` that `out` does not have yet; yield the id of each when it is complete.

    Existing videos are yielded immediately, so that the number of ids is always `config.videos`.

    Raises:
        RecordError: If `out` holds other files, or scenes of other settings.
        DiskError: If a file cannot be written.
    """
    _claim(out, config)
    for index in range(config.videos):
        video_id = f"synth_{index:06d}"
        folder = out / f"sav_{index // VIDEOS_PER_FOLDER:03d}"
        if not _is_complete(folder, video_id):
            _write_video(folder, *compose(config, index))
        yield video_id


def compose(config: SynthConfig, index: int) -> tuple[SceneRenderer, tuple[Layers, ...], SceneTruth]:
    """Sample the scene of video `index` until its ground truth is well defined.

    Returns:
        The scene's renderer, the masks of each annotated row, and the ground truth.

    Raises:
        ConfigError: If the settings leave no room for such a scene.
    """
    problem = ""
    for draw in range(MAX_DRAWS):
        scene = sample_scene(config, index, draw)
        renderer = SceneRenderer(scene)
        rows = tuple(renderer.layers(FRAME_STEP * row) for row in range(scene.row_count))
        truth = measure(scene, rows)
        problem = ambiguity(truth)
        if not problem:
            return renderer, rows, truth
    raise ConfigError(
        f"none of {MAX_DRAWS} scenes sampled for video {index} has a well-defined truth; in the last one {problem}",
        fix="set fewer objects (max_objects), or more frames",
    )


def sav_annotations(scene: Scene, rows: Sequence[Layers], source: Source) -> dict[str, Any]:
    """Return the content of SA-V's annotation file for the objects of one source, with SA-V's keys and types.

    `auto` differs from `manual` as in SA-V: masklet_first_appeared_frame holds integers, every mask has a stability
    score, and no frames are edited.

    Args:
        scene: The scene.
        rows: The masks of each annotated frame.
        source: manual or auto.
    """
    numbers = [number for number, thing in enumerate(scene.objects) if thing.source == source]
    manual = source == "manual"
    areas = [[int(np.count_nonzero(layers.visible[number])) for layers in rows] for number in numbers]
    means = [float(np.mean([area for area in track if area])) for track in areas]
    first_rows = [next(row for row, area in enumerate(track) if area) for track in areas]
    frame_px = scene.size[0] * scene.size[1]
    return {
        "video_id": scene.video_id,
        "video_duration": scene.frame_count / RATE_HZ,
        "video_frame_count": float(scene.frame_count),
        "video_height": float(scene.size[0]),
        "video_width": float(scene.size[1]),
        "video_resolution": float(frame_px),
        "video_environment": "Outdoor" if scene.ground in ("grass", "sand") else "Indoor",
        "video_split": "train",
        "masklet": [[_as_sav(encode(layers.visible[number])) for number in numbers] for layers in rows],
        "masklet_id": [masklet_ids(scene)[number] for number in numbers],
        "masklet_size_rel": [round(mean / frame_px, 10) for mean in means],
        "masklet_size_abs": [round(mean, 10) for mean in means],
        "masklet_size_bucket": [_bucket(mean) for mean in means],
        "masklet_visibility_changes": [
            _visibility_changes(track[first:]) for track, first in zip(areas, first_rows, strict=True)
        ],
        "masklet_first_appeared_frame": [float(first) if manual else 0 for first in first_rows],
        "masklet_frame_count": [len(rows)] * len(numbers),
        "masklet_edited_frame_count": [len(rows) if manual else 0] * len(numbers),
        "masklet_type": [source] * len(numbers),
        "masklet_stability_score": [None] * len(numbers) if manual else [[1.0] * len(numbers) for _ in rows],
        "masklet_num": len(numbers),
    }


def encode_video(renderer: SceneRenderer) -> bytes:
    """Render all frames of a scene as an mp4 file."""
    frames = (renderer.render(index) for index in range(renderer.scene.frame_count))
    return encode_mp4(frames, renderer.scene.size, RATE_HZ, ENCODING)


def _write_video(folder: Path, renderer: SceneRenderer, rows: Sequence[Layers], truth: SceneTruth) -> None:
    video_id = renderer.scene.video_id
    try:
        for leftover in folder.glob(f".{video_id}*.part"):
            leftover.unlink()
    except OSError as error:
        raise DiskError(folder, error) from error
    write_bytes(folder / f"{video_id}.mp4", encode_video(renderer))
    sources: tuple[Source, ...] = ("auto", "manual")
    for source in sources:
        annotations = sav_annotations(renderer.scene, rows, source)
        if annotations["masklet_num"]:
            write_text(folder / f"{video_id}_{source}.json", json.dumps(annotations))
    write_text(folder / f"{video_id}_truth.json", truth.model_dump_json() + "\n")


def _is_complete(folder: Path, video_id: str) -> bool:
    return all((folder / f"{video_id}{end}").is_file() for end in (".mp4", "_manual.json", "_truth.json"))


def _claim(out: Path, config: SynthConfig) -> None:
    """Mark `out` as a folder of these settings, or check that it is one."""
    values = {"scenes": SCENES_VERSION, **config.model_dump(exclude={"videos"})}
    settings = json.dumps(values, indent=1, sort_keys=True) + "\n"
    marker = out / SETTINGS
    if out.exists() and not out.is_dir():
        raise RecordError(out, "", "is a file, not a folder", "give another folder for the scenes")
    try:
        if marker.is_file():
            if marker.read_text(encoding="utf-8") != settings:
                fix = "use the settings in it, or give another folder"
                raise RecordError(marker, "", "this folder has scenes of other settings", fix)
            return
        if out.is_dir() and any(not item.name.startswith(f".{SETTINGS}.") for item in out.iterdir()):
            fix = "give an empty or a new folder for the scenes"
            raise RecordError(out, "", "the folder holds other files", fix)
    except OSError as error:
        raise DiskError(out, error) from error
    write_text(marker, settings)


def _as_sav(rle: Rle) -> dict[str, Any]:
    return {"size": list(rle.size), "counts": rle.counts}


def _bucket(area_px: float) -> str:
    return "large" if area_px >= LARGE_PX else "medium" if area_px >= MEDIUM_PX else "small"


def _visibility_changes(areas_px: Sequence[int]) -> int:
    seen = [area > 0 for area in areas_px]
    return sum(before != after for before, after in pairwise(seen))


__all__ = ["SynthConfig", "compose", "encode_video", "sav_annotations", "write_scenes"]
