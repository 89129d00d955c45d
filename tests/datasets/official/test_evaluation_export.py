"""The official evaluation layout: its masks score as perfect, and videos that leave the split are removed."""

import json
import shutil
from dataclasses import replace

import cv2
import pytest
from pycocotools import mask as coco

from refsav.datasets.official.evaluation_export import export_evaluation
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import Assignment, SplitConfig, assign

ALL_TRAIN = SplitConfig(val_share=0)
ALL_VAL = SplitConfig(val_share=1)


@pytest.fixture(scope="module")
def files(real_videos):
    return {video_id: objects.video for video_id, objects in real_videos.items()}


@pytest.fixture
def run(tmp_path, real_expressions):
    directory = RunDirectory(tmp_path / "run")
    write_parts(directory, "bundle-000000", expressions=real_expressions, dropped=[], failed=[], unreadable=[])
    return directory


def held_out(files, *video_ids):
    """A split with given videos."""
    return {
        video_id: Assignment(video_id=video_id, split="val" if video_id in video_ids else "train", how="list")
        for video_id in files
    }


def frame_folders(folder):
    return sorted(path.name for path in (folder / "videos").iterdir() if path.is_dir())


def test_the_evaluation_layout_scores_the_truth_as_perfect(run, files, real_expressions):
    report = export_evaluation(run, assign(files, ALL_VAL), files)
    assert (report.videos, report.objects) == (3, len(real_expressions))
    videos = json.loads((report.path / "meta_expressions_valid.json").read_text("ascii"))["videos"]
    masks = json.loads((report.path / "mask_dict.json").read_text("ascii"))
    by_text = {expression.text: expression for expression in real_expressions}
    anno_ids = []
    for video_id, video in videos.items():
        assert video["frames"] == sorted(video["frames"])
        first = cv2.imread(str(report.path / "videos" / video_id / f"{video['frames'][0]}.jpg"))
        assert first.shape[:2] == (video["height"], video["width"])
        assert len(list((report.path / "videos" / video_id).iterdir())) == len(video["frames"])
        for exp_id, entry in video["expressions"].items():
            assert "_" not in exp_id, "the scorer splits video and expression at the last underscore"
            track = by_text[entry["exp"]].track
            (anno_id,) = entry["anno_id"]
            anno_ids.append(anno_id)
            assert (track.video_id, entry["type_id"], entry["obj_id"]) == (video_id, 0, [track.column])
            areas = [0 if mask is None else int(coco.area(mask)) for mask in masks[str(anno_id)]]
            assert areas == list(track.areas_px) and len(areas) == len(video["frames"])
    assert sorted(map(str, anno_ids)) == sorted(masks)


def test_no_val_video_no_evaluation_set(run, files):
    report = export_evaluation(run, assign(files, ALL_TRAIN), files)
    assert report.videos == 0 and not report.path.exists()


def test_the_same_run_gives_the_same_bytes(run, files, real_expressions, tmp_path):
    other = RunDirectory(tmp_path / "other")
    write_parts(other, "bundle-000000", expressions=real_expressions[::-1], dropped=[], failed=[], unreadable=[])
    for directory in (run, other):
        export_evaluation(directory, held_out(files, "vos_000002"), files)
    written = [path for path in run.exports.rglob("*") if path.is_file()]
    assert len(written) > 20
    for path in written:
        assert (other.exports / path.relative_to(run.exports)).read_bytes() == path.read_bytes()


def test_nothing_stays_of_a_video_that_is_not_held_out_any_more(run, files):
    report = export_evaluation(run, held_out(files, "vos_000001", "vos_000002"), files)
    assert frame_folders(report.path) == ["vos_000001", "vos_000002"]
    export_evaluation(run, held_out(files, "vos_000002"), files)
    assert [path for path in report.path.rglob("*") if "vos_000001" in str(path)] == []
    assert frame_folders(report.path) == ["vos_000002"]


def test_nothing_stays_of_a_video_whose_frames_somebody_has_deleted(run, files):
    folder = export_evaluation(run, held_out(files, "vos_000002"), files).path
    shutil.rmtree(folder / "videos/vos_000002")
    export_evaluation(run, held_out(files), files)
    assert not folder.exists()


def test_nothing_stays_when_no_video_is_held_out_any_more(run, files):
    folder = export_evaluation(run, held_out(files, "vos_000002"), files).path
    assert folder.is_dir()
    assert export_evaluation(run, held_out(files), files).videos == 0
    assert not folder.exists()


@pytest.mark.parametrize("left", [(), ("vos_000002",)])
def test_what_others_have_put_there_stays_and_no_link_is_followed(run, files, tmp_path, left):
    folder = export_evaluation(run, held_out(files, "vos_000001", "vos_000002"), files).path
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "00000.jpg").write_bytes(b"not ours")
    (folder / "videos/vos_000009").symlink_to(outside)
    (folder / "videos/vos_000001/linked").symlink_to(outside)
    (folder / "notes.txt").write_text("mine")
    (folder / "videos/vos_000001/notes.txt").write_text("mine")
    export_evaluation(run, held_out(files, *left), files)
    assert (outside / "00000.jpg").read_bytes() == b"not ours"
    assert (folder / "videos/vos_000009").is_symlink()
    assert sorted(path.name for path in (folder / "videos/vos_000001").iterdir()) == ["linked", "notes.txt"]
    assert (folder / "notes.txt").exists()
    assert (folder / "mask_dict.json").exists() == bool(left)


def test_nothing_is_removed_behind_a_link_that_stands_for_a_videos_folder(run, files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "00001.jpg").write_bytes(b"not ours")
    videos = run.exports / "ref_sav_eval/videos"
    videos.mkdir(parents=True)
    (videos / "vos_000002").symlink_to(outside)
    assert export_evaluation(run, held_out(files, "vos_000002"), files).videos == 1
    assert (outside / "00001.jpg").read_bytes() == b"not ours"


def test_a_video_that_cannot_be_decoded_is_reported_and_leaves_nothing(run, files, tmp_path):
    everything = held_out(files, "vos_000001", "vos_000002")
    folder = export_evaluation(run, everything, files).path
    broken = replace(files["vos_000001"], media=tmp_path / "vos_000001.mp4")
    broken.media.write_bytes(files["vos_000001"].media.read_bytes()[:100_000])
    report = export_evaluation(run, everything, files | {"vos_000001": broken})
    assert [skipped.video_id for skipped in report.skipped] == ["vos_000001"]
    assert frame_folders(folder) == ["vos_000002"]
    assert list(json.loads((folder / "meta_expressions_valid.json").read_text())["videos"]) == ["vos_000002"]


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("videos/*/*.jpg")}


@pytest.fixture
def own_clip(copy_clips, tmp_path, files):
    """Videos, and the path of one that a test may remove."""
    media = copy_clips(tmp_path / "source", "vos_000001") / "vos_000001.mp4"
    return files | {"vos_000001": replace(files["vos_000001"], media=media)}, media


def test_frames_that_are_there_are_not_written_again(run, files, own_clip, make_expression, real_expressions):
    videos, media = own_clip
    val = held_out(files, "vos_000001")
    folder = export_evaluation(run, val, videos).path
    first = stamps(folder)
    reworded = [make_expression(one.track, "Other words.") for one in real_expressions]
    write_parts(run, "bundle-000000", expressions=reworded, dropped=[], failed=[], unreadable=[])
    export_evaluation(run, val, videos)
    assert stamps(folder) == first
    assert "Other words." in (folder / "meta_expressions_valid.json").read_text()
    media.write_bytes(media.read_bytes() + b"\0\0\0\x08free")  # an mp4 with room at its end: the same frames
    export_evaluation(run, val, videos)
    assert not set(stamps(folder).values()) & set(first.values())


def test_a_frame_that_is_missing_is_written_again(run, files):
    val = held_out(files, "vos_000002")
    folder = export_evaluation(run, val, files).path
    (folder / "videos/vos_000002/00008.jpg").unlink()
    export_evaluation(run, val, files)
    assert (folder / "videos/vos_000002/00008.jpg").is_file()


def test_frames_of_a_video_that_the_source_has_lost_are_kept(run, files, own_clip):
    videos, media = own_clip
    val = held_out(files, "vos_000001", "vos_000002")
    before = export_evaluation(run, val, videos)
    written = {path: path.read_bytes() for path in before.path.rglob("*") if path.is_file()}
    media.unlink()
    after = export_evaluation(run, val, videos)
    assert (after.videos, after.skipped, after.kept) == (2, (), ("vos_000001",))
    assert {path: path.read_bytes() for path in after.path.rglob("*") if path.is_file()} == written


def test_a_video_that_was_never_exported_and_is_lost_is_reported(run, files, own_clip):
    videos, media = own_clip
    media.unlink()
    report = export_evaluation(run, held_out(files, "vos_000001"), videos)
    (skipped,) = report.skipped
    assert skipped.video_id == "vos_000001"
    assert skipped.error.startswith("vos_000001.mp4: the video is missing; fix: "), "without the source's path"
    assert report.videos == 0
