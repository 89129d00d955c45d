"""Parts keep every record complete, give the same bytes for the same records, and are read group by group."""

from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refsav.datasets.records import (
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    Rle,
    SceneCaption,
    Source,
    Unreadable,
    Verdict,
    VideoCaption,
)
from refsav.datasets.run import parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError

TEXT = st.text(max_size=30)
COUNT = st.integers(0, 2**31 - 1)
SHARE = st.floats(0, 1)
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tracks(draw: st.DrawFn) -> ObjectTrack:
    size = (draw(st.integers(1, 5000)), draw(st.integers(1, 5000)))
    counts = draw(st.lists(st.none() | TEXT, max_size=5))
    return ObjectTrack(
        video_id=draw(TEXT),
        source=draw(st.sampled_from(get_args(Source))),
        masklet_id=draw(COUNT),
        column=draw(COUNT),
        size=size,
        masks=tuple(None if text is None else Rle(size, text) for text in counts),
        areas_px=tuple(draw(COUNT) for _ in counts),
        frame_step=draw(st.integers(1, 100)),
        rate_hz=draw(st.floats(0.1, 240)),
    )


EXPRESSIONS = st.builds(
    Expression,
    track=tracks(),
    captions=st.builds(ObjectCaptions, crop=TEXT, masked=TEXT),
    verdict=st.builds(Verdict, consistent=st.booleans(), confidence=SHARE, reason=TEXT),
    scene=st.builds(SceneCaption, text=TEXT),
    video=st.builds(VideoCaption, text=TEXT),
    provenance=st.builds(Provenance, vlm=TEXT, judge=TEXT, prompts=TEXT),
)
DROPPED = st.builds(
    Dropped,
    track=tracks(),
    stage=st.sampled_from(["filter", "judge"]),
    reason=TEXT,
    crop_caption=TEXT,
    masked_caption=TEXT,
    confidence=SHARE,
)
KEYS = st.builds(ObjectKey, TEXT, st.sampled_from(get_args(Source)), COUNT)
FAILED = st.builds(
    Failed,
    key=KEYS,
    column=COUNT,
    stage=st.sampled_from(["source", "views", "object", "judge", "scene", "video"]),
    error=TEXT,
    request_digest=TEXT,
    round=st.integers(0, 5),
)
UNREADABLE = st.builds(Unreadable, path=TEXT, error=TEXT)


@SETTINGS
@given(
    expressions=st.lists(EXPRESSIONS, max_size=4, unique_by=lambda e: e.track.key),
    dropped=st.lists(DROPPED, max_size=4, unique_by=lambda d: d.track.key),
    failed=st.lists(FAILED, max_size=4, unique_by=lambda f: f.key),
    unreadable=st.lists(UNREADABLE, max_size=4, unique=True),
)
def test_every_record_comes_back_as_it_was(tmp_path, expressions, dropped, failed, unreadable):
    run = RunDirectory(tmp_path)
    parts.write_parts(
        run, "bundle-000000", expressions=expressions, dropped=dropped, failed=failed, unreadable=unreadable
    )
    assert list(parts.read_expressions(run)) == sorted(expressions, key=lambda e: e.track.key)
    assert list(parts.read_dropped(run)) == sorted(dropped, key=lambda d: d.track.key)
    assert list(parts.read_failed(run)) == sorted(failed, key=lambda f: f.key)
    assert list(parts.read_unreadable(run)) == sorted(unreadable, key=lambda u: (u.path, u.error))


def write(run, bundle, expressions):
    parts.write_parts(run, bundle, expressions=expressions, dropped=[], failed=[], unreadable=[])


def test_the_order_of_the_records_does_not_change_the_bytes(tmp_path, real_expressions):
    forward, backward = RunDirectory(tmp_path / "a"), RunDirectory(tmp_path / "b")
    write(forward, "bundle-000000", real_expressions)
    write(backward, "bundle-000000", real_expressions[::-1])
    content = [(run.expressions / "bundle-000000.parquet").read_bytes() for run in (forward, backward)]
    assert content[0] == content[1]


def test_failed_is_written_last(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    write(run, "bundle-000000", [make_expression()])
    assert parts.is_done(run, "bundle-000000")
    blocked = RunDirectory(tmp_path / "blocked")
    blocked.root.mkdir()
    blocked.unreadable.write_text("a file where the folder should be")
    with pytest.raises(Exception, match="cannot be written"):
        write(blocked, "bundle-000000", [make_expression()])
    assert not parts.is_done(blocked, "bundle-000000")


def test_parts_are_read_in_order_and_lazily(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    for number in (2, 0, 1):
        write(run, f"bundle-{number:06d}", [make_expression(video_id=f"v{number}")])
    (run.expressions / "bundle-000002.parquet").write_bytes(b"PAR1 but no more than that")
    reader = parts.read_expressions(run)
    assert [next(reader).track.video_id, next(reader).track.video_id] == ["v0", "v1"]
    with pytest.raises(RecordError, match=r"bundle-000002\.parquet: is not a readable Parquet part"):
        next(reader)


def test_rows_lie_in_groups_so_that_a_reader_holds_few(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    write(run, "bundle-000000", [make_expression(masklet_id=number) for number in range(150)])
    (part,) = parts.expression_parts(run)
    groups = pq.ParquetFile(part).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [64, 64, 22]


def test_some_videos_of_a_part_are_read_without_the_others(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    everything = [make_expression(video_id=f"v{video}", masklet_id=obj) for video in range(9) for obj in range(20)]
    write(run, "bundle-000000", everything)
    (part,) = parts.expression_parts(run)
    assert parts.videos_in(part) == [f"v{video}" for video in range(9)]
    found = [expression.track.key for expression in parts.expressions_of(part, {"v3", "v8"})]
    assert found == [ObjectKey(video, "manual", obj) for video in ("v3", "v8") for obj in range(20)]


def test_words_can_be_read_without_masks(tmp_path, real_expressions):
    run = RunDirectory(tmp_path)
    write(run, "bundle-000000", real_expressions)
    texts = {text.key: text.text for text in parts.read_texts(run)}
    assert texts == {expression.track.key: expression.text for expression in real_expressions}


def test_a_part_of_another_version_is_named(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    write(run, "bundle-000000", [make_expression()])
    (part,) = parts.expression_parts(run)
    pq.write_table(pq.read_table(part).drop_columns(["scene_caption"]), part)
    with pytest.raises(RecordError, match=r"other columns than this version of refsav writes: .*scene_caption"):
        list(parts.read_expressions(run))


def test_text_that_utf8_cannot_hold_is_escaped_not_lost(tmp_path):
    run = RunDirectory(tmp_path)
    odd = Unreadable(path="caf\udce9.mp4", error="half a pair: \ud83d")
    parts.write_parts(run, "b", expressions=[], dropped=[], failed=[], unreadable=[odd])
    assert list(parts.read_unreadable(run)) == [Unreadable(path="caf\\udce9.mp4", error="half a pair: \\ud83d")]


def test_a_mask_of_another_size_than_its_track_is_our_own_bug(tmp_path: Path, make_track, make_expression):
    track = make_track()
    wrong = ObjectTrack(
        video_id="v", source="auto", masklet_id=0, column=0, size=(1, 1), masks=track.masks, areas_px=track.areas_px
    )
    with pytest.raises(ValueError, match="differs from the track's"):
        write(RunDirectory(tmp_path), "b", [make_expression(wrong)])
