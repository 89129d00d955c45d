"""Shards: the same bytes each time, one sample a video, and readable by webdataset and Hugging Face datasets."""

import io
import json
import tarfile
from dataclasses import replace

import av
import cv2
import datasets as hugging_face
import numpy as np
import pytest
import webdataset

from refsav.datasets.frames import decode
from refsav.datasets.records import VideoFile
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.plan import ShardConfig, plan_shards
from refsav.datasets.shards.samples import iterate, read_frames
from refsav.datasets.shards.splits import SplitConfig, assign, split_by_video
from refsav.datasets.shards.writer import write_shard
from refsav.errors import ConfigError, RecordError

VAL = {"vos_000002"}


@pytest.fixture(scope="module")
def files(real_videos):
    return {video_id: objects.video for video_id, objects in real_videos.items()}


def add_parts(run, expressions, bundle="bundle-000000"):
    write_parts(run, bundle, expressions=expressions, dropped=[], failed=[], unreadable=[])


def splits_of(run, tmp_path, val=VAL):
    (tmp_path / "val.txt").write_text("\n".join(sorted(val)))
    return split_by_video(run, SplitConfig(val_list=str(tmp_path / "val.txt")))


@pytest.fixture(scope="module")
def built(tmp_path_factory, real_expressions, files, write_shards):
    root = tmp_path_factory.mktemp("run")
    run = RunDirectory(root / "run")
    add_parts(run, real_expressions)
    write_shards(run, splits_of(run, root), files, ShardConfig(videos_per_shard=1))
    return run


def test_a_sample_holds_the_video_and_all_that_is_known_of_its_objects(built, real_expressions, files):
    samples = {sample.video_id: sample for sample in iterate(sorted(built.shards.glob("*/*.tar")))}
    assert set(samples) == set(files)
    for expression in real_expressions:
        track = expression.track
        sample = samples[track.video_id]
        entry = sample.objects[sample.keys().index(track.key)]
        assert (sample.size, sample.rate_hz, entry.column) == (track.size, 6.0, track.column)
        assert entry.masks == track.masks and len(sample.frames) == len(track.masks)
        assert [frame.index for frame in sample.frames] == [4 * row for row in range(len(track.masks))]
        (text,) = entry.texts
        expected = "candidate" if track.video_id in VAL else "generated"
        assert (text.text, text.kind, text.status) == (expression.text, "long", expected)
        assert entry.provenance == expression.provenance


def test_frames_can_be_read_in_any_order_and_show_the_video(built, files):
    (shard,) = built.shards.glob("val-long/*.tar")
    (sample,) = iterate([shard])
    images = list(read_frames(sample, [17, 3, 17]))
    source = dict(decode(files["vos_000002"].media, [12, 68]))
    assert np.array_equal(images[0], images[2])
    for image, original in ((images[0], source[68]), (images[1], source[12])):
        assert image.dtype == np.uint8 and cv2.PSNR(image, original) > 32


def test_the_frames_are_a_motion_jpeg_stream_that_players_know(built):
    (sample,) = iterate(built.shards.glob("val-long/*.tar"))
    with av.open(io.BytesIO(sample.media), format="mjpeg") as stream:
        assert sum(1 for _ in stream.decode(video=0)) == len(sample.frames)


def test_train_and_val_share_no_video(built):
    videos = {
        folder: {sample.video_id for sample in iterate((built.shards / folder).glob("*.tar"))}
        for folder in ("train", "val-long")
    }
    assert videos == {"train": {"sav_000001_head", "vos_000001"}, "val-long": VAL}
    assert sorted(path.name for path in built.shards.iterdir()) == ["train", "val-long"]


def test_webdataset_reads_them(built):
    pattern = str(built.shards / "train/ref-sav-train-{000000..000001}.tar")
    samples = list(webdataset.WebDataset(pattern, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == ["sav_000001_head", "vos_000001"]
    for sample in samples:
        first = sample["json"]["frames"][0]
        image = cv2.imdecode(np.frombuffer(sample["mjpeg"][: first["length"]], np.uint8), cv2.IMREAD_COLOR)
        assert list(image.shape[:2]) == sample["json"]["size"]


def test_hugging_face_datasets_reads_them(built, tmp_path, real_expressions):
    found = hugging_face.load_dataset(
        "webdataset",
        data_files={
            "train": str(built.shards / "train/*.tar"),
            "validation": str(built.shards / "val-long/*.tar"),
        },
        cache_dir=str(tmp_path),
    )
    assert {name: part.num_rows for name, part in found.items()} == {"train": 2, "validation": 1}
    texts = {
        text["text"]
        for part in found.values()
        for row in part
        for entry in row["json"]["objects"]
        for text in entry["expressions"]
    }
    assert texts == {expression.text for expression in real_expressions}
    row = found["validation"][0]
    frame = row["json"]["frames"][5]
    content = row["mjpeg"][frame["offset"] : frame["offset"] + frame["length"]]
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (480, 854, 3)


def test_the_index_names_every_shard_with_its_size_and_digest(built):
    index = json.loads((built.shards / "train/index.json").read_text())
    assert [entry["name"] for entry in index["shards"]] == ["ref-sav-train-000000.tar", "ref-sav-train-000001.tar"]
    assert (index["samples"], index["objects"], index["skipped"]) == (2, 15, [])
    for entry in index["shards"]:
        path = built.shards / "train" / entry["name"]
        assert entry["size_bytes"] == path.stat().st_size and len(entry["sha256"]) == 64


def test_the_same_run_gives_the_same_bytes(built, tmp_path, real_expressions, files, write_shards):
    again = RunDirectory(tmp_path / "again")
    add_parts(again, real_expressions[::-1])
    write_shards(again, splits_of(again, tmp_path), files, ShardConfig(videos_per_shard=1))
    for path in [*built.shards.rglob("*.tar"), *built.shards.rglob("index.json")]:
        assert (again.shards / path.relative_to(built.shards)).read_bytes() == path.read_bytes()
    with tarfile.open(again.shards / "train/ref-sav-train-000000.tar") as archive:
        assert {(member.mtime, member.uname, member.uid) for member in archive} == {(0, "refsav", 0)}


def test_a_shard_that_is_there_is_not_written_again(tmp_path, make_expression, real_expressions, files):
    run = RunDirectory(tmp_path / "run")
    ours = [expression for expression in real_expressions if expression.track.video_id == "vos_000001"]
    add_parts(run, ours)
    config = ShardConfig()
    splits = assign(["vos_000001"], SplitConfig())
    (plan,) = plan_shards(run, splits, files, config)
    entry = write_shard(run, plan, config)
    path = run.shards / "train" / entry.name
    stamp = path.stat().st_mtime_ns
    assert write_shard(run, plan, config) == entry
    assert path.stat().st_mtime_ns == stamp
    add_parts(run, [make_expression(expression.track, "Another text.") for expression in ours])
    assert write_shard(run, plan, config).sha256 != entry.sha256
    path.write_bytes(b"cut short")
    assert write_shard(run, plan, config).size_bytes == path.stat().st_size


@pytest.fixture
def own_clip(copy_clips, tmp_path, real_expressions, files):
    """A run, its plan and a video of its own that a test may take away."""
    media = copy_clips(tmp_path / "source", "vos_000001") / "vos_000001.mp4"
    videos = files | {"vos_000001": replace(files["vos_000001"], media=media)}
    run = RunDirectory(tmp_path / "run")
    add_parts(run, [one for one in real_expressions if one.track.video_id in ("vos_000001", "vos_000002")])
    splits = assign(["vos_000001", "vos_000002"], SplitConfig(val_share=0))
    (plan,) = plan_shards(run, splits, videos, ShardConfig())
    return run, plan, media


def test_a_finished_shard_keeps_a_video_that_the_source_has_lost(own_clip):
    run, plan, media = own_clip
    before = write_shard(run, plan, ShardConfig())
    path = run.shards / "train" / before.name
    content = path.read_bytes()
    media.unlink()
    after = write_shard(run, plan, ShardConfig())
    assert (after.samples, after.sha256, after.skipped) == (2, before.sha256, ())
    assert path.read_bytes() == content


def test_a_video_of_another_size_or_one_that_has_come_back_is_written_again(own_clip):
    run, plan, media = own_clip
    content = media.read_bytes()
    media.unlink()
    without = write_shard(run, plan, ShardConfig())
    assert (without.samples, [skipped.video_id for skipped in without.skipped]) == (1, ["vos_000001"])
    media.write_bytes(content)
    assert write_shard(run, plan, ShardConfig()).samples == 2
    media.write_bytes(content[:1000])
    assert write_shard(run, plan, ShardConfig()).samples == 1


def test_only_a_video_that_is_in_the_shard_is_reported_as_kept(own_clip):
    run, plan, media = own_clip
    content = media.read_bytes()
    write_shard(run, plan, ShardConfig())
    media.unlink()
    assert write_shard(run, plan, ShardConfig()).kept == ("vos_000001",)
    media.write_bytes(content)
    assert write_shard(run, plan, ShardConfig()).kept == ()
    media.write_bytes(content[:1000])
    write_shard(run, plan, ShardConfig())
    media.unlink()
    entry = write_shard(run, plan, ShardConfig())
    assert (entry.kept, [skipped.video_id for skipped in entry.skipped]) == ((), ["vos_000001"])


def test_a_shard_that_must_be_written_while_a_video_is_gone_reports_it(own_clip, make_expression, real_expressions):
    run, plan, media = own_clip
    write_shard(run, plan, ShardConfig())
    media.unlink()
    changed = [make_expression(one.track, "Other words.") for one in real_expressions if one.track.video_id in VAL]
    add_parts(run, [*changed, *(one for one in real_expressions if one.track.video_id == "vos_000001")])
    entry = write_shard(run, plan, ShardConfig())
    assert (entry.samples, [skipped.video_id for skipped in entry.skipped]) == (1, ["vos_000001"])


def test_shards_that_are_no_longer_planned_are_removed(tmp_path, real_expressions, files, write_shards):
    run = RunDirectory(tmp_path / "run")
    add_parts(run, real_expressions)
    splits = splits_of(run, tmp_path)
    write_shards(run, splits, files, ShardConfig(videos_per_shard=1))
    write_shards(run, splits, files, ShardConfig(videos_per_shard=5))
    assert [path.name for path in run.shards.glob("train/*.tar")] == ["ref-sav-train-000000.tar"]
    none_held_out = assign(files, SplitConfig(val_share=0))
    write_shards(run, none_held_out, files, ShardConfig(videos_per_shard=5))
    assert list(run.shards.glob("val-long/*")) == []


def test_mp4_members_hold_the_sources_bytes(tmp_path, real_expressions, files, write_shards):
    run = RunDirectory(tmp_path / "run")
    add_parts(run, [expression for expression in real_expressions if expression.track.video_id in VAL])
    write_shards(run, assign(VAL, SplitConfig()), files, ShardConfig(frames="mp4"))
    (sample,) = iterate(run.shards.glob("train/*.tar"))
    assert sample.media == files["vos_000002"].media.read_bytes()
    original = dict(decode(files["vos_000002"].media, [8, 72]))
    for image, index in zip(read_frames(sample, [2, 18]), (8, 72), strict=True):
        assert np.array_equal(image, original[index])


def test_mp4_members_of_a_folder_of_frames_are_refused(tmp_path, make_expression):
    run = RunDirectory(tmp_path / "run")
    add_parts(run, [make_expression(video_id="v1")])
    video = VideoFile(video_id="v1", media=tmp_path, annotations=(), folder="")
    with pytest.raises(ConfigError, match="is a folder of frames"):
        plan_shards(run, assign(["v1"], SplitConfig()), {"v1": video}, ShardConfig(frames="mp4"))


def test_a_video_that_cannot_be_decoded_is_skipped_and_reported(
    tmp_path, make_expression, real_expressions, files, write_shards
):
    run = RunDirectory(tmp_path / "run")
    broken = VideoFile(video_id="aaa", media=tmp_path / "sav_000/aaa.mp4", annotations=(), folder="sav_000")
    broken.media.parent.mkdir()
    broken.media.write_bytes(b"no video at all")
    whole = [expression for expression in real_expressions if expression.track.video_id in VAL]
    add_parts(run, [make_expression(video_id="aaa"), *whole])
    everything = files | {"aaa": broken}
    splits = assign(["aaa", "vos_000002"], SplitConfig(val_share=0))
    (entry,) = write_shards(run, splits, everything, ShardConfig())
    assert entry.samples == 1 and entry.skipped[0].video_id == "aaa"
    assert entry.skipped[0].error.startswith("sav_000/aaa.mp4: cannot be opened as a video")
    add_parts(run, [make_expression(video_id="aaa")])
    (nothing,) = write_shards(run, splits, everything, ShardConfig())
    assert nothing.samples == 0 and list(run.shards.glob("train/*.tar")) == []
    assert json.loads((run.shards / "train/index.json").read_text())["skipped"][0]["video_id"] == "aaa"


def test_a_video_in_two_parts_is_reported(tmp_path, make_expression):
    run = RunDirectory(tmp_path / "run")
    for bundle in ("bundle-000000", "bundle-000001"):
        add_parts(run, [make_expression(video_id="v1")], bundle)
    video = VideoFile(video_id="v1", media=tmp_path, annotations=(), folder="")
    with pytest.raises(
        RecordError, match=r"bundle-000001\.parquet:v1: holds v1, which is also in bundle-000000\.parquet"
    ):
        plan_shards(run, assign(["v1"], SplitConfig()), {"v1": video}, ShardConfig())


def test_a_video_that_no_bundle_names_is_reported(tmp_path, make_expression):
    run = RunDirectory(tmp_path / "run")
    add_parts(run, [make_expression(video_id="v1")])
    with pytest.raises(RecordError, match="v1: no bundle of this run names this video"):
        plan_shards(run, assign(["v1"], SplitConfig()), {}, ShardConfig())


def test_a_damaged_shard_is_named(built, tmp_path):
    (whole,) = built.shards.glob("val-long/*.tar")
    shard = tmp_path / whole.name
    shard.write_bytes(whole.read_bytes()[:-200_000])
    with pytest.raises(RecordError, match=r"ref-sav-val-long-000000\.tar: is not a readable shard"):
        list(iterate([shard]))
