"""The gallery on disk: pictures as they were sent, one entry an object, nothing drawn twice, nothing lost."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.gallery import ReportConfig, pictured_each, write_bundle
from refsav.annotators.gallery_chunk import chunk_path, read_chunk
from refsav.annotators.gallery_entries import chosen_for_pictures, entry_of, jpeg_size, line_of
from refsav.annotators.gallery_index import PAGE, SCRIPTS_AND_STYLE, write_index
from refsav.annotators.plan import Bundle
from refsav.annotators.preview import encode_mp4, outlined_frames
from refsav.annotators.views import ViewsConfig, encode_view, render
from refsav.datasets.masks import encode
from refsav.datasets.parts import write_parts
from refsav.datasets.records import (
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Unreadable,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run import RunDirectory
from refsav.datasets.sav import SourceConfig, discover, read_video
from refsav.datasets.splits import Assignment, write_splits
from refsav.errors import RecordError

SIZE = (48, 64)
ROWS = 6
VIEWS = ViewsConfig(frames=4)
REPORT = ReportConfig()
SOURCE = SourceConfig()


def track(video_id: str, masklet_id: int, hidden: tuple[int, ...] = ()) -> ObjectTrack:
    """A square that moves right, 3 pixels an annotated frame."""
    masks = []
    for row in range(ROWS):
        mask = np.zeros(SIZE, bool)
        mask[10:30, 8 + 3 * row : 28 + 3 * row] = True
        masks.append(None if row in hidden else encode(mask))
    return ObjectTrack(
        video_id=video_id,
        source="manual",
        masklet_id=masklet_id,
        column=masklet_id,
        size=SIZE,
        masks=tuple(masks),
        areas_px=tuple(0 if mask is None else 400 for mask in masks),
    )


def expression(of: ObjectTrack, text: str = "A red square that moves right.") -> Expression:
    return Expression(
        track=of,
        captions=ObjectCaptions(crop="A red square.", masked="A square."),
        verdict=Verdict(consistent=True, confidence=0.9, reason=""),
        scene=SceneCaption(text="A red square on grey."),
        video=VideoCaption(text=text),
        provenance=Provenance(vlm="attributes", judge="attributes", prompts="12ab"),
    )


class Made:
    """A run of one bundle with two videos, written by hand."""

    def __init__(self, folder: Path) -> None:
        self.run = RunDirectory(folder / "run")
        self.source = folder / "source"
        self.source.mkdir()
        grey = np.full((*SIZE, 3), 110, np.uint8)
        for name in ("sav_1", "sav_2"):
            (self.source / f"{name}.mp4").write_bytes(encode_mp4([grey] * (4 * ROWS), SIZE, 24.0))
        self.videos = tuple(
            VideoFile(video_id=name, media=self.source / f"{name}.mp4", annotations=(), folder="")
            for name in ("sav_1", "sav_2")
        )
        self.bundle = Bundle(name="bundle-000000", videos=self.videos)
        judged = Dropped(
            track=track("sav_1", 1),
            stage="judge",
            reason="One is red, the other blue.",
            crop_caption="A red square.",
            masked_caption="A blue square.",
            confidence=0.8,
        )
        empty = replace(track("sav_2", 1), masks=(None,) * ROWS, areas_px=(0,) * ROWS)
        self.write(
            expressions=[expression(track("sav_1", 0, hidden=(2,))), expression(track("sav_2", 0))],
            dropped=[judged, Dropped(track=empty, stage="filter", reason="never visible: every mask is empty")],
            failed=[
                Failed(
                    key=ObjectKey("sav_2", "manual", 2),
                    column=2,
                    stage="source",
                    error="/data/sav_2_manual.json:masklet[3][2]: mask is cut short; fix: download the file again",
                    request_digest="",
                )
            ],
        )

    def write(self, **parts: list) -> None:
        self.parts = getattr(self, "parts", {}) | parts
        write_parts(self.run, self.bundle.name, unreadable=[Unreadable(path="x.mp4", error="no masks")], **self.parts)

    def draw(self, config: ReportConfig = REPORT, views: ViewsConfig = VIEWS) -> dict[str, dict]:
        write_bundle(self.run, self.bundle, views, SOURCE, config, pictured_each(self.run, config))
        entries = read_chunk(chunk_path(self.run, self.bundle.name))
        return {f"{entry['video']}/{entry['masklet']}": entry for entry in entries}

    def folders(self) -> list[str]:
        return sorted(path.relative_to(self.run.report).as_posix() for path in self.run.report.glob("media/*/*"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def index_of(run: RunDirectory) -> dict:
    """Read index.js as a browser would: an object literal that also allows a comma at the end of a list."""
    content = (run.report / "data/index.js").read_text()
    literal = content.removeprefix("refsav.index(").removesuffix(");\n")
    return json.loads(re.sub(r",\n\]", "\n]", literal))


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


def film_of(frames: int) -> Iterator[np.ndarray]:
    grey = np.full((*SIZE, 3), 110, np.uint8)
    made = encode_mp4(outlined_frames([grey] * frames, track("sav_1", 0, hidden=(2,))), SIZE, 6.0)
    with av.open(io.BytesIO(made)) as container:
        assert float(container.streams.video[0].average_rate) == 6.0
        yield from (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


def test_a_film_has_the_outline_where_the_object_is_and_none_where_it_is_hidden() -> None:
    frames = list(film_of(ROWS))
    assert len(frames) == ROWS
    yellow = [int(((frame[..., 0] > 200) & (frame[..., 1] > 200) & (frame[..., 2] < 90)).sum()) for frame in frames]
    assert yellow[2] == 0
    assert min(yellow[:2] + yellow[3:]) > 100


def test_a_film_of_odd_size_loses_a_row_and_has_the_same_bytes_every_time() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (5, 33, 47, 3), dtype=np.uint8)
    first, second = (encode_mp4(list(noise), (33, 47), 6.0) for _ in range(2))
    assert first == second
    with av.open(io.BytesIO(first)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.height, stream.codec_context.width) == (32, 46)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (480, 9)])
def test_the_size_of_a_jpeg_is_read_from_its_header(size: tuple[int, int]) -> None:
    assert jpeg_size(encode_view(np.zeros((*size, 3), np.uint8), 90)) == size
    plain = cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))[1].tobytes()
    assert jpeg_size(plain) == size


def test_the_index_counts_every_object_once_and_follows_it_through_the_stages(made: Made) -> None:
    made.draw()
    write_splits(made.run.splits, {"sav_1": Assignment(video_id="sav_1", split="val", how="list")})
    page = write_index(made.run, "A <run> & more", REPORT)
    index = index_of(made.run)
    assert index["counts"] == {"kept": 2, "dropped": 2, "failed": 1}
    assert [(stage["in"], stage["dropped"], stage["failed"]) for stage in index["stages"]] == [
        (5, 0, 1),
        (4, 1, 0),
        (3, 0, 0),
        (3, 0, 0),
        (3, 1, 0),
        (2, 0, 0),
        (2, 0, 0),
    ]
    assert [(video["id"], video["split"], len(video["objects"])) for video in index["videos"]] == [
        ("sav_1", "val", 2),
        ("sav_2", "", 3),
    ]
    assert {(why["stage"], why["why"]) for why in index["whys"]} == {
        ("judge", "the two descriptions contradict each other"),
        ("filter", "never visible"),
        ("source", "mask is cut short"),
    }
    assert index["unreadable"] == {"count": 1, "entries": [["x.mp4", "no masks"]]}
    assert "<title>A &lt;run&gt; &amp; more" in page.read_text()
    assert sorted(path.name for path in made.run.report.iterdir() if path.is_file()) == sorted(
        [*SCRIPTS_AND_STYLE, "index.html"]
    )


def test_an_index_of_the_same_run_has_the_same_bytes(made: Made) -> None:
    made.draw()
    first = {path.name: path.read_bytes() for path in write_index(made.run, "Run", REPORT).parent.glob("**/*.js")}
    again = {path.name: path.read_bytes() for path in write_index(made.run, "Run", REPORT).parent.glob("**/*.js")}
    assert first == again
    assert "search-0000.js" in first


def test_a_run_without_any_bundle_still_gets_a_page(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_index(run, "Empty", REPORT)
    assert index_of(run)["counts"] == {"kept": 0, "dropped": 0, "failed": 0}


@pytest.mark.parametrize("lost", [3, 40])
def test_a_damaged_chunk_is_named_with_the_fix(made: Made, lost: int) -> None:
    made.draw()
    chunk = chunk_path(made.run, made.bundle.name)
    chunk.write_text(chunk.read_text()[:-lost])
    with pytest.raises(RecordError, match=r"bundle-000000\.js: is damaged.*\n.*refsav report"):
        write_index(made.run, "Run", REPORT)


@given(st.text(max_size=300))
def test_any_text_is_one_ascii_line_that_reads_back(text: str) -> None:
    entry = entry_of(expression(track("sav_1", 0), text), None, None, "")
    line = json.dumps(entry)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["expression"] == text
    assert "\n" not in line_of(entry).search


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("the model refused: 'I am sorry'", "the model refused"),
        ("/a b/sav_1.mp4: the video is missing; fix: put it there", "the video is missing"),
        ("/x/sav_1.mp4:frame 12: cannot be decoded: Invalid data; fix: copy it", "cannot be decoded"),
        ("HTTP 500 after 6 tries", "HTTP … after … tries"),
        ("no colon " * 20, ("no colon " * 20)[:80]),
    ],
)
def test_errors_of_one_kind_are_filtered_together(error: str, kind: str) -> None:
    failed = Failed(key=ObjectKey("sav_1", "auto", 0), column=0, stage="scene", error=error, request_digest="")
    assert line_of(entry_of(failed, None, None, "")).why == kind


def test_the_page_asks_nothing_of_any_network_and_makes_no_markup_of_data() -> None:
    for path in sorted(PAGE.iterdir()):
        content = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", content), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", content), path
