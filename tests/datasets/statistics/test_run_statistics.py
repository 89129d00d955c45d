"""Statistics: counts that must add up, the paper's columns and properties, losses by reason, costs by stage."""

import json

import pytest

from refsav.datasets.records import STAGES, Dropped, Failed, ObjectKey, Unreadable
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import SplitConfig, assign, write_splits
from refsav.datasets.statistics.properties import MeasureConfig, VideoMeasures, write_measures
from refsav.datasets.statistics.run_statistics import (
    ALL,
    CountsError,
    Loss,
    StageUse,
    Statistics,
    collect,
    read_statistics,
    write_statistics,
)
from refsav.errors import RecordError

NO_GPU = dict.fromkeys(STAGES, 0.0)
LONG = " ".join(["word"] * 30)


@pytest.fixture
def run(tmp_path, make_track, make_expression):
    directory = RunDirectory(tmp_path / "run")
    crossing = make_track(tuple((10 * row, 2, 10 * row + 10, 12) for row in range(6)), video_id="v1", masklet_id=0)
    hidden = make_track(((2, 2, 12, 12), None, (2, 2, 12, 12)), video_id="v1", masklet_id=1)
    still = make_track(((2, 2, 12, 12),) * 4, video_id="v2", masklet_id=0)
    lost = make_track(video_id="v2", masklet_id=1)

    def failed(number, error):
        key = ObjectKey("v3", "auto", number)
        return Failed(key=key, column=number, stage="video", error=error, request_digest="")

    write_parts(
        directory,
        "bundle-000000",
        expressions=[
            make_expression(crossing, LONG),
            make_expression(hidden, "a short one"),
            make_expression(still, LONG),
        ],
        dropped=[
            Dropped(track=lost, stage="filter", reason="too small: largest mask 3 px, min_area_px is 25"),
            Dropped(track=make_track(video_id="v2", masklet_id=2), stage="judge", reason="One is red, one is blue."),
        ],
        failed=[],
        unreadable=[Unreadable(path="x.mp4", error="x.mp4: is empty; fix: remove it")],
    )
    write_parts(
        directory,
        "bundle-000001",
        expressions=[],
        dropped=[],
        failed=[
            failed(0, "host:8000: HTTP 500; fix: look at the server's log"),
            failed(1, "host:8001: HTTP 503; fix: look at the server's log"),
        ],
        unreadable=[],
    )
    return directory


def stats_of(run, objects_read=7, use=(), gpus_per_request=NO_GPU):
    return collect(run, MeasureConfig(), objects_read=objects_read, use=use, gpus_per_request=gpus_per_request)


def test_counts_add_up_and_losses_have_reasons(run):
    stats = stats_of(run)
    assert (stats.objects_read, stats.expressions, stats.dropped, stats.failed) == (7, 3, 2, 2)
    assert stats.unreadable_files == 1
    assert stats.dropped_by == (
        Loss(stage="filter", reason="too small", count=1),
        Loss(stage="judge", reason="the two descriptions contradict each other", count=1),
    )
    assert stats.failed_by == (Loss(stage="video", reason="HTTP …", count=2),)


@pytest.mark.parametrize(("objects_read", "difference"), [(8, "1 missing"), (5, "2 too many")])
def test_counts_that_do_not_add_up_name_the_difference(run, objects_read, difference):
    with pytest.raises(CountsError, match=rf"3 expressions \+ 2 dropped \+ 2 failed = 7, but .*: {difference}"):
        stats_of(run, objects_read)


def test_table_4_columns_per_split(run, tmp_path):
    assert set(stats_of(run).splits) == {ALL}
    (tmp_path / "val.txt").write_text("v2\n")
    write_splits(run.splits, assign(["v1", "v2"], SplitConfig(val_list=str(tmp_path / "val.txt"))))
    splits = stats_of(run).splits
    figures = {name: split.figures for name, split in splits.items()}
    whole = figures[ALL]
    assert (whole.videos, whole.objects, whole.expressions, whole.masks) == (2, 3, 3, 6 + 2 + 4)
    assert whole.words_mean == pytest.approx((30 + 3 + 30) / 3)
    assert (figures["train"].videos, figures["train"].objects) == (1, 2)
    assert (figures["val"].videos, figures["val"].masks) == (1, 4)


def test_table_3_properties_are_shares_of_what_was_measured(run):
    write_measures(
        run,
        "bundle-000000",
        [
            VideoMeasures(video_id="v1", objects=1, camera_speed=0.3, pairs=8, note=""),
            VideoMeasures(video_id="v2", objects=1, camera_speed=None, pairs=0, note="nothing to follow"),
        ],
    )
    found = {one.name: (one.of, one.count, one.measured) for one in stats_of(run).splits[ALL].properties}
    assert found == {
        "short text": ("expressions", 1, 3),
        "long text": ("expressions", 2, 3),
        "large object motion": ("objects", 1, 3),
        "large camera motion": ("videos", 1, 1),
        "heavy occlusion": ("objects", 1, 3),
    }


def test_gpu_hours_are_estimated_from_seconds_and_gpus(run):
    use = StageUse(stage="video", requests=10, prompt_tokens=5_000, completion_tokens=900, seconds=7_200.0)
    (cost,) = stats_of(run, use=[use], gpus_per_request={**NO_GPU, "video": 8 / 64}).stages
    assert cost.use == use and cost.gpu_hours == pytest.approx(7_200 / 64 * 8 / 3_600)
    (free,) = stats_of(run, use=[use]).stages
    assert free.gpu_hours == 0


def test_the_published_figures_stand_next_to_ours(run):
    published = {row.dataset: row for row in stats_of(run).published}
    assert (published["Ref-SAV"].videos, published["Ref-SAV"].words_mean) == (37_311, 83.6)


def test_statistics_come_back_from_json(run):
    use = StageUse(stage="judge", requests=1, prompt_tokens=2, completion_tokens=3, seconds=0.5)
    stats = stats_of(run, use=[use])
    write_statistics(run, stats)
    assert read_statistics(run) == stats
    assert json.loads(run.stats.read_text())["splits"]["all"]["figures"]["objects"] == 3
    assert Statistics.from_json(stats.to_json(), run.stats).to_json() == stats.to_json()


def test_damaged_statistics_are_named(run):
    run.stats.write_text('{"objects_read": "many"}')
    with pytest.raises(RecordError, match=r"stats\.json:objects_read"):
        read_statistics(run)


def test_a_video_without_a_split_is_reported(run):
    write_splits(run.splits, assign(["v1"], SplitConfig()))
    with pytest.raises(RecordError, match="v2: has no split"):
        stats_of(run)


def test_an_empty_run_has_statistics(tmp_path):
    run = RunDirectory(tmp_path)
    stats = stats_of(run, 0)
    assert stats.splits[ALL].figures.words_mean == 0
    assert all(one.share == 0 for one in stats.splits[ALL].properties)
