"""Training straight from shards: any video by its place, only the bytes that are needed, and damage that is named."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refsav.datasets.frames import decode
from refsav.datasets.records import Rle, VideoFile
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.plan import ShardConfig
from refsav.datasets.shards.reader import ShardSamples
from refsav.datasets.shards.samples import SampleText, iterate, to_members
from refsav.datasets.shards.splits import SplitConfig, assign
from refsav.datasets.training_examples.mixture import Mixture, TooManyBadError
from refsav.datasets.training_examples.skipped_examples import BadExamples
from refsav.datasets.training_sources.ref_sav import RefSavConfig, ShardSource
from refsav.disk.files import sha256_of
from refsav.errors import RecordError

SIZE = (60, 80)
ROWS = 8
VIDEOS = ("v0", "v1", "v2")


def picture(row: int) -> np.ndarray:
    """A frame that says by its grey which row it is."""
    return np.full((*SIZE, 3), 30 * row, np.uint8)


def row_of(frame: np.ndarray) -> int:
    return round(float(frame.mean()) / 30)


def box_of(number: int, row: int) -> tuple[int, int, int, int] | None:
    """Object 0 is seen in every row, 1 in the second half, 2 in row 5 alone."""
    seen = (True, row >= ROWS // 2, row == 5)[number]
    return (4 * row, 10 * number, 4 * row + 8, 10 * number + 9) if seen else None


@pytest.fixture(scope="module")
def expressions(make_track, make_expression):
    tracks = [
        make_track(tuple(box_of(number, row) for row in range(ROWS)), video_id=video, masklet_id=number, size=SIZE)
        for video in VIDEOS
        for number in range(3)
    ]
    return [make_expression(track, f"the thing {track.key}.") for track in tracks]


def build(run, files, expressions, write_shards, frames="jpeg"):
    write_parts(run, "bundle-000000", expressions=expressions, dropped=[], failed=[], unreadable=[])
    config = ShardConfig(videos_per_shard=2, frames=frames, jpeg_quality=95)
    return write_shards(run, assign(files, SplitConfig(val_share=0)), files, config)


@pytest.fixture(scope="module")
def run(tmp_path_factory, expressions, write_shards):
    root = tmp_path_factory.mktemp("shards")
    for row in range(4 * ROWS):
        for video in VIDEOS:
            (root / "media" / video).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "media" / video / f"{row:05d}.jpg"), picture(row // 4))
    media = {video: root / "media" / video for video in VIDEOS}
    files = {video: VideoFile(video_id=video, media=media[video], annotations=(), folder="media") for video in VIDEOS}
    build(RunDirectory(root / "run"), files, expressions, write_shards)
    return RunDirectory(root / "run")


@pytest.fixture
def folder(run, tmp_path):
    """Shards of one's own, to be damaged."""
    for path in run.shards.glob("train/*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def source_of(path: Path, **settings) -> ShardSource:
    return ShardSource(RefSavConfig(path=str(path), **settings))


def rewrite(shard: Path, change) -> None:
    """Change every sample of a shard, and tell the index."""
    from webdataset.writer import TarWriter

    samples = [change(sample) for sample in iterate([shard])]
    with shard.open("wb") as stream, TarWriter(stream, encoder=False) as tar:
        for sample in samples:
            tar.write(to_members(sample))
    index = json.loads((shard.parent / "index.json").read_text())
    for entry in index["shards"]:
        if entry["name"] == shard.name:
            entry |= {"size_bytes": shard.stat().st_size, "sha256": sha256_of(shard)}
    (shard.parent / "index.json").write_text(json.dumps(index))


def with_objects(sample, change):
    return replace(sample, objects=tuple(change(number, entry) for number, entry in enumerate(sample.objects)))


def test_an_example_shows_frames_in_order_and_where_each_object_is(run):
    source = source_of(run.root)
    assert len(source) == 3
    for seed in range(20):
        example = source.read(seed % 3, np.random.default_rng(seed))
        rows = [row_of(frame) for frame in example.frames]
        assert rows == sorted(set(rows)) and len(rows) == 5
        assert len(example.turns) == 3 and example.left_out == ()
        for turn, masks in zip(example.turns, example.masks, strict=True):
            number = next(n for n in range(3) if f"v{seed % 3}/manual/{n}" in turn.question)
            for row, mask in zip(rows, masks, strict=True):
                expected = np.zeros(SIZE, np.bool_)
                if box := box_of(number, row):
                    expected[box[1] : box[3], box[0] : box[2]] = True
                assert np.array_equal(mask, expected)


def test_the_same_draw_gives_the_same_example_in_another_process_too(run):
    source = source_of(run.root)
    copied = pickle.loads(pickle.dumps(source))  # noqa: S301 - what another process gets
    first, again = (each.read(2, np.random.default_rng(7)) for each in (source, copied))
    assert first.name == again.name and first.turns == again.turns
    assert all(np.array_equal(*pair) for pair in zip(first.frames, again.frames, strict=True))
    assert first.turns != source.read(2, np.random.default_rng(8)).turns


def test_fewer_objects_are_drawn_without_repeating_one(run):
    source, drawn = source_of(run.root, objects=2, frames=2), set()
    for seed in range(30):
        example = source.read(0, np.random.default_rng(seed))
        said = {turn.question[turn.question.index("v0/manual/") :][:11] for turn in example.turns}
        assert len(example.frames) == len(said) == 2
        assert any(mask.any() for masks in example.masks for mask in masks)
        drawn |= {frozenset(said)}
    assert len(drawn) == 3


def test_an_object_that_is_seen_in_one_row_alone_is_shown_there(folder):
    only = sorted(folder.glob("*.tar"))[0]
    rewrite(only, lambda sample: replace(sample, objects=sample.objects[2:]))
    for seed in range(10):
        example = source_of(folder, frames=1).read(0, np.random.default_rng(seed))
        assert row_of(example.frames[0]) == 5 and example.masks[0][0].any()


def test_a_short_video_gives_all_its_frames(run):
    example = source_of(run.root, frames=20).read(0, np.random.default_rng(0))
    assert [row_of(frame) for frame in example.frames] == list(range(ROWS))


def test_samples_by_their_place_are_those_from_front_to_back(run):
    samples = ShardSamples(run.shards / "train")
    for index, whole in reversed(list(enumerate(iterate(sorted(run.shards.glob("train/*.tar")))))):
        video = samples.describe(index)
        assert video.video_id == whole.video_id == VIDEOS[index] and video.objects == whole.objects
        some = samples.sample(index, video, [1, 6])
        lengths = [whole.frames[row].length for row in (1, 6)]
        assert [frame.index for frame in some.frames] == [4, 24]
        assert len(some.media) == sum(lengths) < len(whole.media) / 2
        assert [entry.masks for entry in some.objects] == [(e.masks[1], e.masks[6]) for e in whole.objects]


def test_mp4_shards_give_the_frames_of_the_video(tmp_path, expressions, write_shards):
    path = tmp_path / "v0.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(4 * ROWS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index // 4))))
        container.mux(stream.encode())
    files = {"v0": VideoFile(video_id="v0", media=path, annotations=(), folder="")}
    build(RunDirectory(tmp_path / "run"), files, expressions[:3], write_shards, frames="mp4")
    example = source_of(tmp_path / "run").read(0, np.random.default_rng(0))
    decoded = dict(decode(path, range(0, 4 * ROWS, 4)))
    rows = [row_of(frame) for frame in example.frames]
    assert len(set(rows)) == 5
    assert all(np.array_equal(frame, decoded[4 * row]) for frame, row in zip(example.frames, rows, strict=True))


def test_objects_without_an_expression_are_skipped_and_reported(folder):
    shard = sorted(folder.glob("*.tar"))[0]
    silent = (SampleText(text="", kind="long", status="generated"),)
    rewrite(shard, lambda s: with_objects(s, lambda n, e: replace(e, texts=(e.texts, (), silent)[n] if n else e.texts)))
    example = source_of(folder).read(0, np.random.default_rng(0))
    assert len(example.turns) == 1 and "v0/manual/0" in example.turns[0].question
    assert [line.split(": ", 1)[1] for line in example.left_out] == [
        "v0: manual/1 has no expression",
        "v0: manual/2 has no expression",
    ]
    rewrite(shard, lambda s: with_objects(s, lambda _, e: replace(e, texts=())))
    with pytest.raises(RecordError, match="v0: no object has both a mask and an expression"):
        source_of(folder).read(0, np.random.default_rng(0))


def test_long_or_short_texts_are_taken_as_configured(folder):
    def with_short(_, entry):
        short = SampleText(text=f"short {entry.masklet_id}", kind="short", status="accepted")
        return replace(entry, texts=(*entry.texts, short) if entry.masklet_id else entry.texts)

    rewrite(sorted(folder.glob("*.tar"))[0], lambda sample: with_objects(sample, with_short))

    def asked(text: str) -> set[bool]:
        read = (source_of(folder, text=text).read(0, np.random.default_rng(seed)) for seed in range(10))
        return {"short" in turn.question for example in read for turn in example.turns}

    assert (asked("long"), asked("short"), asked("either")) == ({False}, {True}, {False, True})
    assert len(source_of(folder, text="short").read(0, np.random.default_rng(0)).turns) == 2


@pytest.mark.parametrize("verify", ["size", "sha256"])
def test_videos_of_a_shard_that_was_cut_short_are_counted_and_others_used(folder, verify):
    shard = sorted(folder.glob("*.tar"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-512])
    share = RefSavConfig(path=str(folder), verify=verify).open()
    reported = f"{shard.name}: has {len(whole) - 512} bytes, index.json says {len(whole)}"
    assert len(share.notes) == 1 and "1 videos cannot be used: " in share.notes[0] and reported in share.notes[0]
    mixture, bad = Mixture([share], 0), BadExamples(0.5)
    for position in range(3):
        drawn = mixture.draw(0, position)
        bad.note(drawn)
        assert "v2" not in drawn.example.name
    assert bad.count == 1
    (line,) = bad.first.values()
    assert f"{shard.name}:sample 0: has" in line and "copy the shard again" in line
    strict = BadExamples(0)
    with pytest.raises(TooManyBadError, match=rf"ref-sav: 1, the first: .*{shard.name}"):
        for position in range(3):
            strict.note(mixture.draw(0, position))


def test_a_shard_that_was_altered_is_named_when_all_bytes_are_looked_at(folder):
    shard = sorted(folder.glob("*.tar"))[0]
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content)
    assert source_of(folder).notes == ()
    source = source_of(folder, verify="sha256")
    assert len(source.notes) == 1
    for index in (0, 1):
        with pytest.raises(RecordError, match=f"{shard.name}:sample {index}: does not have the SHA-256"):
            source.read(index, np.random.default_rng(0))
    assert "v2" in source.read(2, np.random.default_rng(0)).name


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_whatever_is_altered_an_example_comes_or_an_error_that_names_the_shard(run, tmp_path, place, value):
    shard = sorted(run.shards.glob("train/*.tar"))[0]
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] = value
    for path in run.shards.glob("train/*"):
        (tmp_path / path.name).write_bytes(content if path == shard else path.read_bytes())
    named = shard.name
    try:
        source_of(tmp_path).read(0, np.random.default_rng(0))
    except RecordError as error:
        named = error.path.name
    assert named == shard.name


def test_a_shard_that_is_missing_and_a_folder_without_an_index_are_reported(folder):
    sorted(folder.glob("*.tar"))[0].unlink()
    with pytest.raises(RecordError, match=r"is in index\.json and cannot be opened: No such file"):
        source_of(folder).read(0, np.random.default_rng(0))
    (folder / "index.json").unlink()
    with pytest.raises(RecordError, match=r"index\.json: cannot be read: No such file.*\n.*give a run directory"):
        source_of(folder)


def test_an_index_that_names_a_file_outside_is_refused(folder):
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"ref-sav-train-000000.tar"', '"../ref-sav-train-000000.tar"'))
    with pytest.raises(RecordError, match="names a shard outside its folder"):
        source_of(folder)


def test_a_shard_of_another_number_of_samples_is_reported(folder):
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"samples": 2', '"samples": 5'))
    with pytest.raises(RecordError, match=r"holds 4 files, index\.json says 5 samples of 2"):
        source_of(folder).read(0, np.random.default_rng(0))


def test_a_mask_of_another_size_is_reported_with_its_object_and_frame(folder):
    shard = sorted(folder.glob("*.tar"))[0]
    other = Rle((80, 60), "PjT1")
    rewrite(shard, lambda s: with_objects(s, lambda n, e: replace(e, masks=(other,) * ROWS) if n == 1 else e))
    with pytest.raises(RecordError, match=rf"{shard.name}:v0: manual/1: frame \d+: the mask is 80x60, the image 60x80"):
        source_of(folder).read(0, np.random.default_rng(0))


def test_a_frame_that_cannot_be_decoded_is_reported_with_its_video(folder):
    shard = sorted(folder.glob("*.tar"))[0]
    (sample, _) = iterate([shard])
    content = bytearray(shard.read_bytes())
    begin = content.index(sample.media)
    for frame in sample.frames:
        content[begin + frame.offset : begin + frame.offset + frame.length] = bytes(frame.length)
    shard.write_bytes(content)
    with pytest.raises(RecordError, match=rf"{shard.name}:v0: frame \d+: is not a readable JPEG"):
        source_of(folder).read(0, np.random.default_rng(0))


def test_long_examples_weigh_more(run):
    assert source_of(run.root, frames=8).length_of(0) > source_of(run.root).length_of(0) > 5 * 256
