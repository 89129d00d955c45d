"""The official training layout, read by a copy of the official loader's rules, and its import."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pycocotools import mask as coco

from refsav.datasets.frames import probe
from refsav.datasets.official.export_report import read_reports, write_reports
from refsav.datasets.official.ref_sav_import import ImportedVideo, import_official
from refsav.datasets.official.training_export import export_training, official_path
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run.parts import read_expressions, write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import SplitConfig, assign
from refsav.errors import RecordError

ALL_TRAIN = SplitConfig(val_share=0)


@pytest.fixture(scope="module")
def files(real_videos):
    return {video_id: objects.video for video_id, objects in real_videos.items()}


@pytest.fixture
def run(tmp_path, real_expressions):
    directory = RunDirectory(tmp_path / "run")
    write_parts(directory, "bundle-000000", expressions=real_expressions, dropped=[], failed=[], unreadable=[])
    return directory


def read_as_the_training_loader(json_path, image_folder):
    """Yield (video path, annotation path, masks per row and object, texts), or fail as the loader would."""
    infos = json.loads(json_path.read_text("ascii"))
    for key in list(infos):
        info = infos[key]
        video_path, anno_path = Path(image_folder, info["video_path"]), Path(image_folder, info["anno_path"])
        frames = list(range(probe(video_path).frame_count))[::4]
        rows = json.loads(anno_path.read_text())["masklet"]
        assert len(rows) == len(frames)
        object_ids = list(info["objects"].keys())
        masks = [[coco.decode(row[int(object_id)]) for object_id in object_ids] for row in rows]
        yield video_path, anno_path, masks, [info["objects"][object_id]["formated"] for object_id in object_ids]


def test_the_training_loader_finds_every_expression_with_its_masks(run, files, real_expressions, sav_data):
    report = export_training(run, assign(files, ALL_TRAIN), files)
    assert (report.videos, report.objects, report.skipped) == (3, len(real_expressions), ())
    by_text = {expression.text: expression for expression in real_expressions}
    seen = set()
    for video_path, anno_path, masks, texts in read_as_the_training_loader(report.path, sav_data):
        for place, text in enumerate(texts):
            track = by_text[text].track
            assert (video_path.stem, anno_path.name) == (track.video_id, f"{track.video_id}_{track.source}.json")
            assert [int(row[place].sum()) for row in masks] == list(track.areas_px)
            seen.add(track.key)
    assert seen == {expression.track.key for expression in real_expressions}


def test_a_video_with_two_annotation_files_gets_two_entries(run, files):
    entries = json.loads(export_training(run, assign(files, ALL_TRAIN), files).path.read_text())
    assert sorted(entries) == ["sav_000001_head", "sav_000001_head_auto", "vos_000001", "vos_000002"]
    assert entries["vos_000001"]["objects"]["0"]["short_caps"] == []


def test_only_the_training_split_is_exported(run, files, tmp_path):
    (tmp_path / "val.txt").write_text("vos_000001\n")
    splits = assign(files, SplitConfig(val_list=str(tmp_path / "val.txt")))
    entries = json.loads(export_training(run, splits, files).path.read_text())
    assert sorted(entries) == ["sav_000001_head", "sav_000001_head_auto", "vos_000002"]


@pytest.mark.parametrize(
    ("written", "official"),
    [
        ("sav_000/sav_train/sav_000/sav_000002.mp4", "sav_train/sav_000/sav_000002.mp4"),
        ("sav_train/sav_000/sav_000002.mp4", "sav_train/sav_000/sav_000002.mp4"),
        ("a/sav_000/sav_train/sav_000/v.mp4", "a/sav_train/sav_000/v.mp4"),
        ("other/sav_train/sav_000/v.mp4", "other/sav_train/sav_000/v.mp4"),
        ("sav_000/v.mp4", "sav_000/v.mp4"),
    ],
)
def test_paths_are_written_as_the_loader_rewrites_them(written, official):
    assert official_path(Path(written)) == Path(official)


def test_a_video_without_mp4_is_reported_and_not_exported(run, files, tmp_path):
    folder = VideoFile(video_id="vos_000001", media=tmp_path, annotations=(tmp_path,), folder="JPEGImages_24fps")
    report = export_training(run, assign(files, ALL_TRAIN), files | {"vos_000001": folder})
    assert (report.videos, [skipped.video_id for skipped in report.skipped]) == (2, ["vos_000001"])
    write_reports(run, [report])
    assert read_reports(run) == (report,)
    (reported,) = json.loads((run.exports / "report.json").read_text())
    assert reported["path"] == "Ref-SAV.json"
    assert reported["skipped"][0]["error"] == "the source is folders of frames; Ref-SAV.json names mp4 files"
    assert str(tmp_path) not in (run.exports / "report.json").read_text()


def test_a_report_of_exports_that_is_damaged_is_reported_with_the_fix(run):
    assert read_reports(run) == ()
    run.exports.mkdir()
    (run.exports / "report.json").write_text("[{")
    with pytest.raises(RecordError, match=r"report\.json: is damaged: .*\n  fix: delete it"):
        read_reports(run)


def test_the_same_run_gives_the_same_bytes(run, files, real_expressions, tmp_path):
    other = RunDirectory(tmp_path / "other")
    write_parts(other, "bundle-000000", expressions=real_expressions[::-1], dropped=[], failed=[], unreadable=[])
    one_val = assign(files, SplitConfig())
    for directory in (run, other):
        export_training(directory, one_val, files)
    name = "exports/Ref-SAV.json"
    assert (other.root / name).read_bytes() == (run.root / name).read_bytes()


def test_what_was_exported_comes_back(run, files, real_expressions, sav_data):
    report = export_training(run, assign(files, ALL_TRAIN), files)
    imported = list(import_official(report.path, sav_data))
    assert all(isinstance(video, ImportedVideo) and not video.dropped and not video.failed for video in imported)
    back = {expression.track.key: expression for video in imported for expression in video.expressions}
    assert len(back) == len(real_expressions)
    for expression in real_expressions:
        found = back[expression.track.key]
        assert (found.track, found.text) == (expression.track, expression.text)
        assert found.provenance.vlm == "imported:Ref-SAV.json" and found.verdict.consistent


def test_an_import_can_be_kept_and_exported_again(run, files, sav_data, tmp_path):
    first = export_training(run, assign(files, ALL_TRAIN), files)
    again = RunDirectory(tmp_path / "again")
    videos = {}
    for number, video in enumerate(import_official(first.path, sav_data)):
        videos[video.video.video_id] = video.video
        write_parts(
            again,
            f"bundle-{number:06d}",
            expressions=video.expressions,
            dropped=video.dropped,
            failed=video.failed,
            unreadable=[],
        )
    assert len(list(read_expressions(again))) == first.objects
    second = export_training(again, assign(videos, ALL_TRAIN), videos)
    assert json.loads(second.path.read_text()) == json.loads(first.path.read_text())


GOOD = {
    "video_path": "vos_000001.mp4",
    "anno_path": "vos_000001_manual.json",
    "objects": {"0": {"formated": "a tan camel"}, "1": {"formated": "a pale camel"}},
}


def read_import(tmp_path, sav_root, **entries):
    path = tmp_path / "Ref-SAV.json"
    path.write_text(json.dumps(entries))
    return list(import_official(path, sav_root))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"video_path": "../vos_000001.mp4"}, "bad.video_path: '../vos_000001.mp4' leads out of the SA-V folder"),
        ({"video_path": "/etc/vos_000001.mp4"}, "leads out of the SA-V folder"),
        ({"anno_path": "a/../../vos_000001_manual.json"}, "bad.anno_path: .* leads out"),
        ({"anno_path": "C:\\vos_000001_manual.json"}, "leads out"),
        ({"video_path": "."}, "bad.video_path: '.' leads out"),
        ({"anno_path": 7}, "bad.anno_path: is not a path"),
        ({"anno_path": "vos_000002_manual.json"}, "is not vos_000001_manual.json or _auto.json"),
        ({"video_path": "passwd"}, "is not the mp4 of a video id"),
        ({"objects": {"first": {"formated": "x"}}}, "objects.first: the object's key is not a column number"),
        (
            {"objects": {"0": {"formated": "x"}, "00": {"formated": "y"}}},
            "objects.00: the object's key is not a column",
        ),
        ({"objects": {"9" * 5000: {"formated": "x"}}}, "the object's key is not a column number"),
        ({"objects": []}, "is not an entry with video_path, anno_path and objects"),
    ],
)
def test_a_bad_entry_is_reported_and_the_others_come_through(tmp_path, sav_data, change, problem):
    other = {"video_path": "vos_000002.mp4", "anno_path": "vos_000002_manual.json"}
    found = read_import(
        tmp_path, sav_data, bad=GOOD | change, good=GOOD | other | {"objects": {"0": {"formated": "a grey car"}}}
    )
    reported, video = found
    assert isinstance(reported, Unreadable) and isinstance(video, ImportedVideo)
    assert re.search(problem, reported.error)
    assert [expression.text for expression in video.expressions] == ["a grey car"]


def test_objects_that_cannot_be_found_fail_and_counts_add_up(tmp_path, sav_data):
    objects = {"0": {"formated": "a tan camel"}, "1": {"short_caps": []}, "7": {"formated": "a third camel"}}
    (video,) = read_import(tmp_path, sav_data, v=GOOD | {"objects": objects})
    assert [expression.track.column for expression in video.expressions] == [0]
    assert [failed.column for failed in video.failed] == [1, 7]
    assert "has no text under 'formated'" in video.failed[0].error
    assert "has no column 7" in video.failed[1].error


def test_a_missing_or_damaged_source_fails_every_object(tmp_path, sav_data):
    (missing,) = read_import(tmp_path, tmp_path, v=GOOD)
    assert len(missing.failed) == 2 and all("there is no such file" in failed.error for failed in missing.failed)
    shutil.copy(sav_data / "vos_000001.mp4", tmp_path)
    (tmp_path / "vos_000001_manual.json").write_text('{"masklet": [')
    (damaged,) = read_import(tmp_path, tmp_path, v=GOOD)
    assert len(damaged.failed) == 2 and all("is not valid JSON" in failed.error for failed in damaged.failed)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "is not a JSON object of videos"),
        ('{"a": ', "cannot be read as JSON"),
        ('{"videos": {}}', "wrapper that Ref-SAV.json does not have"),
    ],
)
def test_a_file_in_another_layout_is_refused(tmp_path, content, problem):
    path = tmp_path / "Ref-SAV.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=problem):
        list(import_official(path, tmp_path))


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(RecordError, match=r"none\.json: there is no such file"):
        list(import_official(tmp_path / "none.json", tmp_path))


def test_two_entries_for_the_same_objects_are_reported(tmp_path, sav_data):
    reported, video = read_import(tmp_path, sav_data, first=GOOD, second=GOOD)
    assert "is a second entry for the manual objects of vos_000001" in reported.error
    assert len(video.expressions) == 2


def test_an_import_separates_paths_from_the_sav_folder_wherever_that_is(tmp_path, sav_data):
    nested = "sav_000/sav_train/sav_000"  # which the loader reads as sav_train/sav_000
    objects = {"0": {"formated": "a tan camel"}, "7": {"formated": "a third camel"}}
    entry = {"video_path": f"{nested}/vos_000001.mp4", "anno_path": f"{nested}/vos_000001_manual.json"}
    missing = {"video_path": "x/vos_000002.mp4", "anno_path": "x/vos_000002_manual.json"}
    reported = []
    for place in ("one", "the/other"):
        root = tmp_path / place
        folder = root / "sav/sav_train/sav_000"
        folder.mkdir(parents=True)
        for name in ("vos_000001.mp4", "vos_000001_manual.json"):
            shutil.copy(sav_data / name, folder)
        bad = GOOD | {"video_path": 7}
        unreadable, first, second = read_import(
            root, root / "sav", v=GOOD | entry | {"objects": objects}, w=GOOD | missing, bad=bad
        )
        assert first.video.root == root / "sav"
        reported.append([unreadable.error, *(failed.error for video in (first, second) for failed in video.failed)])
    assert reported[0] == reported[1]
    assert reported[0][0].startswith("Ref-SAV.json:bad.video_path: is not a path")
    assert reported[0][1].startswith("sav_train/sav_000/vos_000001_manual.json: has no column 7; fix: ")
    assert reported[0][2].startswith("x/vos_000002_manual.json: there is no such file; fix: ")


def test_a_second_entry_is_reported_without_the_place_of_the_file(tmp_path, sav_data):
    reported, _ = read_import(tmp_path, sav_data, first=GOOD, second=GOOD)
    assert reported.error.startswith("Ref-SAV.json:second: is a second entry")
