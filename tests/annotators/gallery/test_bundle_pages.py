"""The gallery on disk: pictures as they were sent, one entry an object, nothing drawn twice, nothing lost."""

import shutil
from pathlib import Path

import pytest

from refsav.annotators.bundles.plan import Bundle
from refsav.annotators.gallery.bundle_pages import ReportConfig, write_bundle
from refsav.annotators.gallery.chunk import chunk_path, read_chunk
from refsav.annotators.gallery.entries import chosen_for_pictures
from refsav.annotators.stages.views import ViewsConfig, render
from refsav.datasets.records import Failed, ObjectKey, VideoFile
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import discover, read_video
from tests.support.data.made_gallery import REPORT, SOURCE, VIEWS, Made, expression, track


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_the_views_are_the_bytes_that_were_sent(made: Made) -> None:
    made.draw()
    ((_, sent),) = render(made.videos[0], [track("sav_1", 0, hidden=(2,))], VIEWS)
    folder = made.run.report / "media/sav_1/manual-0"
    assert (folder / "crop.jpg").read_bytes() == sent.crop
    assert (folder / "masked.jpg").read_bytes() == sent.masked
    assert (folder / "scene.jpg").read_bytes() == sent.scene
    assert [(folder / f"video-{place}.jpg").read_bytes() for place in range(4)] == list(sent.video)


def test_every_object_has_one_entry_that_says_what_became_of_it(made: Made) -> None:
    entries = made.draw()
    assert {name: (entry["status"], entry["stage"]) for name, entry in entries.items()} == {
        "sav_1/0": ("kept", "video"),
        "sav_1/1": ("dropped", "judge"),
        "sav_2/0": ("kept", "video"),
        "sav_2/1": ("dropped", "filter"),
        "sav_2/2": ("failed", "source"),
    }
    assert entries["sav_1/0"]["pictures"]["visible"] == [True, False, True, True]
    assert entries["sav_1/1"]["masked"] == "A blue square."
    assert entries["sav_2/1"]["note"] == "The object is never visible: there is nothing to show."
    assert made.folders() == ["media/sav_1/manual-0", "media/sav_1/manual-1", "media/sav_2/manual-0"]


def test_a_bundle_is_drawn_again_only_if_something_has_changed(made: Made) -> None:
    made.draw()
    chunk = chunk_path(made.run, made.bundle.name)
    first = chunk.stat().st_ino
    made.draw(ReportConfig(page_objects=5))
    assert chunk.stat().st_ino == first
    made.draw(views=ViewsConfig(frames=3))
    second = chunk.stat().st_ino
    assert second != first
    made.write(expressions=[expression(track("sav_1", 0), "Another text.")])
    assert made.draw(views=ViewsConfig(frames=3))["sav_1/0"]["expression"] == "Another text."


def pictures(made: Made) -> dict[str, tuple[bytes, int]]:
    """Every picture and film with the time at which it was written."""
    files = made.run.report.glob("media/*/*/*")
    return {str(path.relative_to(made.run.report)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_what_was_drawn_of_a_lost_video_is_kept(made: Made) -> None:
    before, drawn = made.draw(), pictures(made)
    kept = made.source / "kept.mp4"
    shutil.move(made.videos[0].media, kept)
    assert made.draw() == before
    assert pictures(made) == drawn
    shutil.move(kept, made.videos[0].media)
    assert made.draw() == before
    assert pictures(made) == drawn


def test_pictures_of_a_lost_video_are_still_shown_when_its_bundle_changes(made: Made) -> None:
    before, drawn = made.draw(), pictures(made)
    made.videos[0].media.unlink()
    made.write(expressions=[expression(track("sav_1", 0, hidden=(2,)), "New."), expression(track("sav_2", 0))])
    after = made.draw()
    assert after["sav_1/0"]["expression"] == "New."
    assert after["sav_1/0"]["pictures"] == before["sav_1/0"]["pictures"]
    assert after["sav_1/0"]["note"] == ""
    assert {name: pictures(made)[name] for name in drawn if "sav_1" in name} == {
        name: file for name, file in drawn.items() if "sav_1" in name
    }
    assert made.draw() == after


def test_pictures_of_a_lost_video_survive_a_lost_chunk_until_the_video_is_back(made: Made) -> None:
    before, drawn = made.draw(), pictures(made)
    kept = made.source / "kept.mp4"
    shutil.move(made.videos[0].media, kept)
    chunk_path(made.run, made.bundle.name).unlink()
    without = made.draw()
    assert "pictures" not in without["sav_1/0"]
    assert "sav_1.mp4: the video is missing" in without["sav_1/0"]["note"]
    assert pictures(made).keys() == drawn.keys()
    shutil.move(kept, made.videos[0].media)
    assert made.draw() == before


def test_objects_of_a_video_that_was_lost_before_it_was_drawn_are_shown_in_words(made: Made) -> None:
    made.videos[0].media.unlink()
    entry = made.draw()["sav_1/0"]
    assert "pictures" not in entry
    assert entry["note"].startswith("The video cannot be drawn any more: sav_1.mp4: the video is missing")
    assert made.folders() == ["media/sav_2/manual-0"]


def test_a_new_bundle_draws_nothing_again_while_all_objects_are_pictured(made: Made) -> None:
    made.run.bundles.mkdir()
    (made.run.bundles / "bundle-000000.json").touch()
    made.draw()
    drawn = pictures(made)
    (made.run.bundles / "bundle-000001.json").touch()
    made.draw()
    assert pictures(made) == drawn


def test_a_limit_draws_the_same_objects_every_time_and_takes_away_the_others(made: Made) -> None:
    made.draw()
    entries = made.draw(ReportConfig(max_objects=2))
    drawn = sorted(name for name, entry in entries.items() if "pictures" in entry)
    assert len(made.folders()) == len(drawn) <= 2
    assert made.draw(ReportConfig(max_objects=2)) == entries
    assert made.draw(ReportConfig(max_objects=0))["sav_1/0"]["note"].startswith("The report draws 0 objects")
    assert made.folders() == []


def test_a_larger_limit_keeps_the_objects_of_a_smaller_one() -> None:
    keys = [ObjectKey(f"sav_{number}", "auto", 0) for number in range(50)]
    few, more = chosen_for_pictures(keys, 5), chosen_for_pictures(reversed(keys), 20)
    assert len(few) == 5
    assert few < more


def test_without_films_only_stills_are_written(made: Made) -> None:
    entries = made.draw(ReportConfig(preview=False))
    assert not list(made.run.report.rglob("*.mp4"))
    assert entries["sav_1/0"]["pictures"]["preview"] is False


def test_an_object_that_failed_after_it_was_drawn_is_shown_from_the_source(sav_data: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    video = next(
        one for one in discover(sav_data, SOURCE) if isinstance(one, VideoFile) and one.video_id == "vos_000002"
    )
    (known,) = read_video(video, SOURCE).tracks
    failed = Failed(key=known.key, column=0, stage="video", error="the model refused: 'No.'", request_digest="ab")
    write_parts(run, "bundle-000000", expressions=[], dropped=[], failed=[failed], unreadable=[])
    write_bundle(run, Bundle(name="bundle-000000", videos=(video,)), ViewsConfig(), SOURCE, REPORT, pictured=10)
    (entry,) = read_chunk(chunk_path(run, "bundle-000000"))
    assert entry["pictures"]["folder"] == "media/vos_000002/manual-0"
    assert entry["why"] == "the model refused"
    assert entry["size"] == [480, 854]
