"""Train and val never share a video, and a video never changes sides when the run grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import SplitConfig, assign, read_splits, split_by_video, write_splits
from refsav.errors import ConfigError, RecordError

IDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=12)
SHARES = st.sampled_from([0.0, 0.001, 0.03, 0.5, 1.0])


def sides(assignments):
    return {video_id: assignment.split for video_id, assignment in assignments.items()}


@given(st.lists(st.sets(IDS, max_size=6), min_size=1, max_size=5), SHARES)
def test_growth_moves_no_video(arrivals, share):
    config = SplitConfig(val_share=share)
    present, before = set(), None
    for new in arrivals:
        present |= new
        now = assign(present, config, before)
        assert set(now) == present
        if before is not None:
            assert {video_id: sides(now)[video_id] for video_id in before} == sides(before) or not val_of(before)
            assert val_of(before) <= val_of(now), "a val video moved to train"
        before = now


def val_of(assignments):
    return {video_id for video_id, split in sides(assignments).items() if split == "val"}


@given(st.sets(IDS, min_size=2, max_size=20))
def test_two_videos_are_enough_for_a_val_split(video_ids):
    assert val_of(assign(video_ids, SplitConfig()))


def test_one_video_is_for_training_and_share_zero_holds_nothing_out():
    assert sides(assign(["sav_000001"], SplitConfig())) == {"sav_000001": "train"}
    assert not val_of(assign([f"v{number}" for number in range(50)], SplitConfig(val_share=0)))


def test_the_hash_holds_out_about_the_share_and_the_salt_draws_others():
    ids = [f"sav_{number:06d}" for number in range(20_000)]
    drawn = val_of(assign(ids, SplitConfig()))
    assert 0.025 < len(drawn) / len(ids) < 0.035
    assert drawn == val_of(assign(reversed(ids), SplitConfig()))
    assert len(drawn & val_of(assign(ids, SplitConfig(salt="other")))) < len(drawn) / 4


def test_the_draw_is_the_same_on_every_machine_and_in_every_version():
    ids = [f"sav_{number:06d}" for number in range(100)]
    assert sorted(val_of(assign(ids, SplitConfig()))) == [
        "sav_000010",
        "sav_000013",
        "sav_000039",
        "sav_000053",
        "sav_000067",
        "sav_000096",
    ]


def test_a_list_is_followed_exactly(tmp_path):
    listed = tmp_path / "val.txt"
    listed.write_text("# held out by hand\nv2\n\nv7\nnot_in_this_run\n")
    ids = [f"v{number}" for number in range(9)]
    assert val_of(assign(ids, SplitConfig(val_list=str(listed)))) == {"v2", "v7"}


def test_a_list_that_names_nothing_here_is_refused(tmp_path):
    listed = tmp_path / "val.txt"
    listed.write_text("v1.mp4\n")
    with pytest.raises(ConfigError, match=r"names none of this run's 2 videos \(such as v1\)"):
        assign(["v1", "v2"], SplitConfig(val_list=str(listed)))
    with pytest.raises(RecordError, match="cannot be read"):
        assign(["v1", "v2"], SplitConfig(val_list=str(tmp_path / "missing.txt")))


def test_a_run_remembers_its_only_val_video(tmp_path, make_expression):
    run = RunDirectory(tmp_path)
    config = SplitConfig(val_share=1e-12)

    def build(bundle, *video_ids):
        expressions = [make_expression(video_id=video_id) for video_id in video_ids]
        write_parts(run, bundle, expressions=expressions, dropped=[], failed=[], unreadable=[])
        return split_by_video(run, config)

    (only,) = val_of(build("bundle-000000", "v1", "v2"))
    assert val_of(build("bundle-000001", *(f"w{number}" for number in range(30)))) == {only}
    assert read_splits(run.splits)[only].how == "only"
    assert len(read_splits(run.splits)) == 32


def test_splits_come_back_and_give_the_same_bytes(tmp_path):
    assignments = assign([f"v{number}" for number in range(200)], SplitConfig())
    write_splits(tmp_path / "a.parquet", assignments)
    write_splits(tmp_path / "b.parquet", dict(reversed(assignments.items())))
    assert read_splits(tmp_path / "a.parquet") == assignments
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
