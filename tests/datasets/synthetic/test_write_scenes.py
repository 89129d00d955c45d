"""Synthetic scenes: exact SA-V format, masks and frames that agree with the ground truth, the same bytes every time."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from refsav.datasets import masks
from refsav.datasets.frames import decode
from refsav.datasets.records import Rle, Unreadable
from refsav.datasets.sav.source import SourceConfig, discover, read_video
from refsav.datasets.synthetic.scene import COLOURS
from refsav.datasets.synthetic.truth import SceneTruth, read_truth
from refsav.datasets.synthetic.write_scenes import SynthConfig, compose, encode_video, sav_annotations, write_scenes
from refsav.disk.files import DiskError
from refsav.errors import ConfigError, RecordError

SMALL = SynthConfig(videos=6, height=120, width=160, frames=46, auto_share=0.5, camera_share=0.5)
"""46 frames are no multiple of 4: 12 annotated rows."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "scenes"
    assert list(write_scenes(out, SMALL)) == [f"synth_{index:06d}" for index in range(6)]
    return out


@pytest.fixture(scope="module")
def truths(scenes: Path) -> dict[str, SceneTruth]:
    return {truth.video_id: truth for truth in map(read_truth, sorted(scenes.rglob("*_truth.json")))}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shape_of(value: Any) -> Any:
    """Types of a JSON value, lists by the set of their elements' types."""
    if isinstance(value, list):
        kinds = {json.dumps(shape_of(item), sort_keys=True) for item in value}
        return ["list", *sorted(kinds)]
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items()}
    return type(value).__name__


def annotated(scenes: Path, source: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(scenes.rglob(f"*_{source}.json"))]


def mask_of(entry: dict[str, Any]) -> masks.Mask:
    return masks.decode(Rle((entry["size"][0], entry["size"][1]), entry["counts"]))


@pytest.mark.parametrize("source", ["manual", "auto"])
def test_annotations_have_the_keys_and_types_of_real_ones(scenes: Path, sav_data: Path, source: str) -> None:
    real = json.loads((sav_data / f"real_annotations_only/sav_000001_{source}.json").read_text())
    files = annotated(scenes, source)
    assert files
    for ours in files:
        assert list(ours) == list(real)
        assert shape_of(ours) == shape_of(real)


def test_annotations_add_up(scenes: Path) -> None:
    for ours in [*annotated(scenes, "manual"), *annotated(scenes, "auto")]:
        count = ours["masklet_num"]
        assert len(ours["masklet"]) == 12
        assert all(len(row) == count for row in ours["masklet"])
        assert ours["masklet_id"] == list(range(count))
        assert (ours["video_frame_count"], ours["video_resolution"]) == (46.0, 120 * 160)
        for column in range(count):
            areas = [int(mask_of(row[column]).sum()) for row in ours["masklet"]]
            seen = [area for area in areas if area]
            first = next(row for row, area in enumerate(areas) if area)
            assert ours["masklet_size_abs"][column] == pytest.approx(np.mean(seen))
            assert ours["masklet_size_rel"][column] == pytest.approx(np.mean(seen) / (120 * 160), abs=1e-9)
            assert ours["masklet_first_appeared_frame"][column] == first
            changes = sum((a > 0) != (b > 0) for a, b in zip(areas[first:], areas[first + 1 :], strict=False))
            assert ours["masklet_visibility_changes"][column] == changes


def test_size_buckets_have_the_borders_of_the_real_ones(sav_data: Path) -> None:
    renderer, rows, _ = compose(SynthConfig(frames=16), 0)
    pairs: set[tuple[str, bool, bool]] = set()
    ours = sav_annotations(renderer.scene, rows, "manual")
    real = [json.loads(path.read_text()) for path in sav_data.rglob("*sav_000001*_*.json")]
    for file in [ours, *real]:
        for size, bucket in zip(file["masklet_size_abs"], file["masklet_size_bucket"], strict=True):
            pairs.add((bucket, size >= 32**2, size >= 96**2))
    assert pairs <= {("small", False, False), ("medium", True, False), ("large", True, True)}


def test_hidden_objects_are_background_and_never_missing() -> None:
    config = SMALL.model_copy(update={"late_share": 1.0, "leaving_share": 0.0, "auto_share": 0.0, "occlusion_share": 0})
    hidden = 0
    for index in range(4):
        renderer, rows, truth = compose(config, index)
        for row in sav_annotations(renderer.scene, rows, "manual")["masklet"]:
            assert all(entry["size"] == [120, 160] for entry in row)
            hidden += sum(not mask_of(entry).any() for entry in row)
        late = [thing for thing in truth.objects if thing.occlusion.comes_late]
        assert all(thing.areas_px[0] == 0 and thing.centres_px[0] != thing.seen_centres_px[0] for thing in late)
    assert hidden > 8


def test_video_is_h264_at_24_frames_a_second(scenes: Path) -> None:
    for path in scenes.rglob("*.mp4"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert (stream.height, stream.width, stream.average_rate) == (120, 160, 24)
            assert sum(1 for _ in container.decode(video=0)) == 46


def test_the_source_reader_takes_every_object(scenes: Path, truths: dict[str, SceneTruth]) -> None:
    config = SourceConfig()
    read = 0
    for video in discover(scenes, config):
        assert not isinstance(video, Unreadable)
        objects = read_video(video, config)
        named = {(track.source, track.masklet_id): track for track in objects.tracks}
        assert len(named) == objects.object_count == len(truths[video.video_id].objects)
        for thing in truths[video.video_id].objects:
            track = named[thing.source, thing.masklet_id]
            assert list(track.areas_px) == thing.areas_px
            assert track.largest_row == thing.place.row
        read += 1
    assert read == SMALL.videos


def test_truth_agrees_with_masks(scenes: Path, truths: dict[str, SceneTruth]) -> None:
    for video_id, truth in truths.items():
        stored = {
            source: json.loads(path.read_text())["masklet"]
            for source in ("manual", "auto")
            if (path := scenes / f"sav_000/{video_id}_{source}.json").exists()
        }
        claimed = np.zeros((12, 120, 160), dtype=np.int64)
        for thing in truth.objects:
            tracks = np.stack([mask_of(row[thing.masklet_id]) for row in stored[thing.source]])
            claimed += tracks
            for row, mask in enumerate(tracks):
                assert mask.sum() == thing.areas_px[row]
                if mask.any():
                    ys, xs = np.nonzero(mask)
                    assert thing.seen_centres_px[row] == pytest.approx((xs.mean(), ys.mean()), abs=0.01)
                    if thing.visible_fraction[row] > 0.98:
                        assert thing.seen_centres_px[row] == pytest.approx(thing.centres_px[row], abs=1.0)
        assert claimed.max() <= 1


def test_colours_in_the_decoded_video_are_those_of_the_truth(scenes: Path, truths: dict[str, SceneTruth]) -> None:
    for video_id, truth in truths.items():
        for thing in truth.objects:
            row = thing.place.row
            file = json.loads((scenes / f"sav_000/{video_id}_{thing.source}.json").read_text())
            mask = mask_of(file["masklet"][row][thing.masklet_id])
            _, picture = next(decode(scenes / f"sav_000/{video_id}.mp4", [4 * row]))
            seen = np.median(picture[cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0], axis=0)
            nearest = min(COLOURS, key=lambda name: float(np.abs(seen - np.array(COLOURS[name])).sum()))
            assert nearest == thing.colour, (video_id, seen)


def test_same_settings_same_bytes_and_other_seed_other_scenes(scenes: Path, tmp_path: Path) -> None:
    some = SMALL.model_copy(update={"videos": 2})
    list(write_scenes(tmp_path / "again", some))
    list(write_scenes(tmp_path / "other", some.model_copy(update={"seed": 1})))
    first, again, other = tree(scenes), tree(tmp_path / "again"), tree(tmp_path / "other")
    assert len(again) >= 7
    assert all(first[name] == content for name, content in again.items())
    assert all(first[name] != content for name, content in other.items() if name in first)


def test_a_killed_run_is_completed_to_the_same_bytes(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    program = (
        "import sys; from pathlib import Path\n"
        "from refsav.datasets.synthetic.write_scenes import SynthConfig, write_scenes\n"
        "config = SynthConfig.model_validate_json(sys.argv[2])\n"
        "for video_id in write_scenes(Path(sys.argv[1]), config): print(video_id, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(out), SMALL.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline().strip() == "synth_000000"
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    (out / "sav_000/.synth_000003.mp4.abc.part").write_bytes(b"half")
    list(write_scenes(out, SMALL))
    assert tree(out) == tree(scenes)


@pytest.mark.parametrize("end", [".mp4", "_manual.json", "_truth.json"])
def test_a_missing_file_is_written_again_and_nothing_else(scenes: Path, tmp_path: Path, end: str) -> None:
    out = tmp_path / "scenes"
    shutil.copytree(scenes, out)
    (out / f"sav_000/synth_000002{end}").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4") if path.stem != "synth_000002"}
    list(write_scenes(out, SMALL))
    assert tree(out) == tree(scenes)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_more_videos_can_be_added_later(tmp_path: Path) -> None:
    assert len(list(write_scenes(tmp_path, SMALL.model_copy(update={"videos": 1})))) == 1
    assert len(list(write_scenes(tmp_path, SMALL.model_copy(update={"videos": 2})))) == 2


def test_folders_of_something_else_are_left_alone(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"scenes of other settings\n  fix: "):
        next(write_scenes(scenes, SMALL.model_copy(update={"seed": 7})))
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RecordError, match=r"holds other files\n  fix: "):
        next(write_scenes(tmp_path, SMALL))
    with pytest.raises(RecordError, match="is a file"):
        next(write_scenes(tmp_path / "letter.txt", SMALL))
    with pytest.raises(DiskError, match="cannot be written"):
        next(write_scenes(tmp_path / "letter.txt/deeper", SMALL))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"min_objects": 5, "max_objects": 3}, "min_objects is 5, more than max_objects, 3"),
        ({"late_share": 0.7, "leaving_share": 0.7}, "more than 1"),
        ({"height": 121}, "height"),
        ({"vidoes": 3}, "did you mean videos"),
    ],
)
def test_invalid_settings_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        SynthConfig.from_mapping(values, "command line")


def test_a_damaged_truth_is_reported_with_its_place(scenes: Path, tmp_path: Path) -> None:
    path = tmp_path / "synth_000000_truth.json"
    with pytest.raises(RecordError, match="cannot be read"):
        read_truth(path)
    path.write_text((scenes / "sav_000/synth_000000_truth.json").read_text().replace('"depth":0', '"depth":"near"'))
    with pytest.raises(RecordError, match=r"objects\.\d\.depth: .*\n  fix: "):
        read_truth(path)


def test_videos_are_light() -> None:
    renderer, _, _ = compose(SynthConfig(), 4)
    assert len(encode_video(renderer)) < 150_000
