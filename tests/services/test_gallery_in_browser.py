"""The gallery in a real browser, opened as a file: text stays text, films play, 10,000 objects stay quick."""

import re
from pathlib import Path

import numpy as np
import pytest

from refsav.annotators.bundles.plan import Bundle, extend_plan, read_plan
from refsav.annotators.gallery.bundle_pages import ReportConfig, write_bundle
from refsav.annotators.gallery.index import write_index
from refsav.annotators.gallery.preview import encode_preview
from refsav.annotators.stages.views import ViewsConfig
from refsav.datasets.masks import encode
from refsav.datasets.records import (
    STAGES,
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    SceneCaption,
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig
from refsav.datasets.statistics.properties import MeasureConfig
from refsav.datasets.statistics.run_statistics import StageUse, collect, write_statistics
from tests.support.browser import Browser

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

SIZE = (96, 128)
MANY = 10_000
HOSTILE = "<script>window.owned = true</script><img src=x onerror='window.owned = true'> & \u2028 \"quoted\""
DIGEST = "0123456789abcdef" * 4
MADE_BY = Provenance(vlm="attributes:attributes-1", judge="attributes:attributes-1", prompts=DIGEST)


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    chromium.resize(1360)
    return chromium


def expression(track: ObjectTrack, text: str) -> Expression:
    return Expression(
        track=track,
        captions=ObjectCaptions(crop=f"Crop: {text}", masked=f"Masked: {text}"),
        verdict=Verdict(consistent=True, confidence=0.9, reason=""),
        scene=SceneCaption(text=f"Scene: {text}"),
        video=VideoCaption(text=text),
        provenance=MADE_BY,
    )


def square(video_id: str, masklet_id: int, size: tuple[int, int] = SIZE) -> ObjectTrack:
    mask = np.zeros(size, bool)
    mask[20:60, 30:80] = True
    return ObjectTrack(
        video_id=video_id,
        source="manual",
        masklet_id=masklet_id,
        column=masklet_id,
        size=size,
        masks=(encode(mask),) * 6,
        areas_px=(2000,) * 6,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kept objects, one of them with hostile text, one dropped, one failed; the first three with pictures."""
    folder = tmp_path_factory.mktemp("small")
    run = RunDirectory(folder / "run")
    media = folder / "sav_1.mp4"
    media.write_bytes(encode_preview([np.full((*SIZE, 3), 90 + 2 * n, np.uint8) for n in range(24)], SIZE, 24.0))
    dropped = Dropped(
        track=square("sav_1", 2),
        stage="judge",
        reason=HOSTILE,
        crop_caption="A red kite.",
        masked_caption="A blue box.",
    )
    failed = Failed(
        key=ObjectKey("sav_1", "auto", 0),
        column=0,
        stage="source",
        error="sav_1.mp4: the video is missing",
        request_digest=DIGEST,
    )
    write_parts(
        run,
        "bundle-000000",
        expressions=[expression(square("sav_1", 0), HOSTILE), expression(square("sav_1", 1), "A plain grey square.")],
        dropped=[dropped],
        failed=[failed],
        unreadable=[],
    )
    video = VideoFile(video_id="sav_1", media=media, annotations=(), folder="")
    bundle = Bundle(name="bundle-000000", videos=(video,))
    write_bundle(run, bundle, ViewsConfig(), SourceConfig(), ReportConfig(), pictured=100)
    return write_index(run, f"Small {HOSTILE}", ReportConfig())


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kept object of a video that is higher than wide, with a long id, and the run's statistics."""
    folder = tmp_path_factory.mktemp("upright")
    run, video_id, size = RunDirectory(folder / "run"), "sav_000001_with_a_long_id", (128, 96)
    media = folder / f"{video_id}.mp4"
    media.write_bytes(encode_preview([np.full((*size, 3), 90, np.uint8)] * 24, size, 24.0))
    kept = [expression(square(video_id, 1, size), "A plain grey square.")]
    write_parts(run, "bundle-000000", expressions=kept, dropped=[], failed=[], unreadable=[])
    video = VideoFile(video_id=video_id, media=media, annotations=(), folder="")
    write_bundle(
        run, Bundle(name="bundle-000000", videos=(video,)), ViewsConfig(), SourceConfig(), ReportConfig(), pictured=100
    )
    uses = [StageUse(stage=one, requests=0, prompt_tokens=0, completion_tokens=0, seconds=0) for one in STAGES]
    free = dict.fromkeys(STAGES, 0.0)
    write_statistics(run, collect(run, MeasureConfig(), objects_read=1, use=uses, gpus_per_request=free))
    return write_index(run, "Upright", ReportConfig())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 objects in 500 videos and 20 bundles, 84 words each; every tenth is dropped."""
    folder = tmp_path_factory.mktemp("large")
    run = RunDirectory(folder / "run")
    words = re.findall(r"\w+", "a red kite drifts over the long grey fence while two dogs run behind a parked blue van")
    videos = [
        VideoFile(video_id=f"sav_{n:06d}", media=folder / f"sav_{n:06d}.mp4", annotations=(), folder="")
        for n in range(MANY // 20)
    ]
    assert not list(extend_plan(run, folder, videos, 25))
    for bundle in read_plan(run, folder):
        tracks = [square(video.video_id, masklet) for video in bundle.videos for masklet in range(20)]
        write_parts(
            run,
            bundle.name,
            expressions=[
                expression(track, " ".join(words[(place + n) % len(words)] for n in range(84)) + f" number {place}.")
                for place, track in enumerate(tracks)
                if place % 10
            ],
            dropped=[Dropped(track=track, stage="filter", reason="too small: 3 px") for track in tracks[::10]],
            failed=[],
            unreadable=[],
        )
        write_bundle(run, bundle, ViewsConfig(), SourceConfig(), ReportConfig(max_objects=0), pictured=0)
    return write_index(run, "Large", ReportConfig())


def test_text_from_data_is_shown_as_text_and_never_run(browser: Browser, small: Path) -> None:
    browser.open(small, "#object=sav_1/manual/0")
    browser.until("document.querySelector('dialog').open")
    assert browser.value("document.querySelector('dialog .expression').textContent") == HOSTILE
    browser.until("document.querySelectorAll('.card .lead').length", 2)
    browser.until("document.querySelector('.card.dropped .reason')?.textContent", HOSTILE)
    assert browser.value("document.querySelector('.card .lead').textContent") == HOSTILE
    assert browser.value("document.querySelector('h1').textContent") == f"Small {HOSTILE}"
    assert browser.value("typeof window.owned") == "undefined"
    assert browser.value("document.querySelectorAll('.cards script, dialog script, [onerror]').length") == 0
    assert browser.complaints() == []


def test_films_play_while_they_are_seen_and_stop_behind_an_open_object(browser: Browser, small: Path) -> None:
    browser.open(small)
    browser.until("[...document.querySelectorAll('.card video')].filter((one) => one.currentTime > 0.2).length", 3)
    browser.value("document.querySelector('.card .open').click()")
    browser.until("document.querySelector('dialog video')?.currentTime > 0.2")
    assert browser.value("[...document.querySelectorAll('.card video')].every((one) => one.paused)")
    browser.press("Escape")
    browser.until("document.querySelector('.card video').paused", False)
    assert browser.complaints() == []


def test_every_picture_that_an_object_names_can_be_shown(browser: Browser, small: Path) -> None:
    browser.open(small, "#object=sav_1/manual/1")
    browser.until("document.querySelectorAll('dialog img').length", 3 + 6)
    browser.value("document.querySelectorAll('dialog img').forEach((one) => { one.loading = 'eager' })")
    browser.until("[...document.querySelectorAll('dialog img')].every((one) => one.complete && one.naturalWidth > 0)")
    assert browser.value("[...document.querySelectorAll('dialog img')].every((one) => one.alt)")


def test_the_address_keeps_filters_and_object_through_a_reload(browser: Browser, small: Path) -> None:
    browser.open(small, "#status=kept&object=sav_1%2Fmanual%2F0")
    browser.until("document.querySelector('dialog').open")
    browser.press("ArrowRight")
    browser.until("document.getElementById('detail-name').textContent", "sav_1/manual/1")
    browser.send("Page.reload")
    browser.until("document.getElementById('detail-name')?.textContent", "sav_1/manual/1")
    assert browser.value("document.getElementById('found').textContent") == "1–2 of 2 objects"
    browser.press("Escape")
    browser.until("location.hash", "#status=kept")
    browser.until("document.querySelector('dialog').open", False)


def test_an_object_without_pictures_says_why(browser: Browser, small: Path) -> None:
    browser.open(small, "#status=failed&object=sav_1/auto/0")
    browser.until("document.querySelector('dialog .error')?.textContent", "sav_1.mp4: the video is missing")
    browser.until("document.querySelectorAll('.card.failed .blank').length", 1)
    for place in ("dialog", ".card.failed"):
        said = browser.value(f"document.querySelector('{place} .blank').textContent")
        assert said == "No image: the recorded error states why."


def test_a_page_of_ten_thousand_objects_opens_quickly_and_stays_small(browser: Browser, large: Path) -> None:
    browser.open(large)
    browser.until("document.querySelectorAll('.card').length", 24)
    assert browser.value("document.getElementById('found').textContent") == "1–24 of 10,000 objects"
    opened_ms = browser.value("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(f"opened in {opened_ms:.0f} ms")
    assert opened_ms < 3000
    assert browser.value("document.querySelectorAll('*').length") < 2500
    browser.press("ArrowRight")
    browser.until("document.getElementById('found').textContent", "25–48 of 10,000 objects")
    browser.until("document.querySelectorAll('.card .lead, .card .reason').length", 24)
    assert browser.complaints() == []


def test_a_search_looks_through_all_words_of_all_objects(browser: Browser, large: Path) -> None:
    browser.open(large, "#q=number+499.+kite&video=sav_000024")
    browser.until("document.getElementById('found').textContent", "1–1 of 1 object")
    browser.until("document.querySelector('.card .lead').textContent.endsWith('number 499.')")
    browser.open(large, "#status=dropped&why=dropped~filter~too+small&page=40")
    browser.until("document.getElementById('found').textContent", "937–960 of 1,000 objects")
    assert browser.value("document.querySelectorAll('.card.dropped').length") == 24


@pytest.mark.parametrize("width", [1100, 1280, 1360])
def test_filters_stand_in_one_row_and_cover_no_card_of_the_next_page(browser: Browser, large: Path, width: int) -> None:
    browser.resize(width)
    browser.open(large)
    tops = "[...document.querySelectorAll('#filters .wide > :not(datalist, [hidden])')].map((one) => {box})"
    middle = "Math.round(one.getBoundingClientRect().top + one.offsetHeight / 2)"
    assert len(set(browser.value(tops.replace("{box}", middle)))) == 1
    covers_none(browser)


@pytest.mark.parametrize("width", [390, 800, 1000])
def test_a_wrapped_filter_bar_covers_no_card_of_the_next_page(browser: Browser, large: Path, width: int) -> None:
    browser.resize(width)
    browser.open(large)
    covers_none(browser)


def covers_none(browser: Browser) -> None:
    browser.value("window.scrollTo(0, document.body.scrollHeight)")
    browser.value("document.querySelector('.pages.below [aria-label=\"Next page\"]').click()")
    browser.until("document.getElementById('found').textContent", "25–48 of 10,000 objects")
    browser.until("document.querySelectorAll('.card .lead, .card .reason').length", 24)
    bar = "Math.max(0, document.getElementById('filters').getBoundingClientRect().bottom)"
    browser.until(f"document.querySelector('.card').getBoundingClientRect().top >= {bar}")
    assert browser.value("document.querySelector('.card').getBoundingClientRect().top") < 400


def test_on_a_phone_texts_have_the_width_and_tables_need_no_scrolling(browser: Browser, upright: Path) -> None:
    browser.resize(390)
    browser.open(upright, "#object=sav_000001_with_a_long_id/manual/1")
    browser.until("document.querySelector('dialog').open")
    assert browser.value("document.querySelector('dialog .two .text').offsetWidth") > 330
    browser.press("Escape")
    browser.value("document.getElementById('figures').open = true")
    hidden = "[...document.querySelectorAll('.scroll')].map((one) => one.scrollWidth - one.clientWidth)"
    assert browser.value(hidden) == [0] * 4
    assert browser.value("document.documentElement.scrollWidth") == 390


def test_where_an_id_is_cut_the_end_that_distinguishes_objects_stays(browser: Browser, upright: Path) -> None:
    browser.resize(390)
    browser.open(upright, "#object=sav_000001_with_a_long_id/manual/1")
    browser.until("document.getElementById('detail-name')?.textContent", "sav_000001_with_a_long_id/manual/1")
    shown = "(([id, end]) => [id.scrollWidth > id.clientWidth, end.scrollWidth <= end.clientWidth, end.textContent])"
    assert browser.value(f"{shown}([...document.getElementById('detail-name').children])")[0::2] == [True, "/manual/1"]
    title = "document.getElementById('detail-name').getBoundingClientRect().right"
    end = "document.getElementById('detail-name').lastChild.getBoundingClientRect().right"
    assert browser.value(f"{end} <= {title}")


def test_a_part_of_an_id_finds_videos_and_a_whole_one_its_video(browser: Browser, large: Path) -> None:
    browser.open(large, "#video=V_00024")
    browser.until("document.getElementById('found').textContent", "1–24 of 200 objects")
    browser.open(large, "#video=sav_000024")
    browser.until("document.getElementById('found').textContent", "1–20 of 20 objects")
    browser.open(large, "#video=dog")
    browser.until("document.getElementById('found').textContent", "No object fits these filters.")


def test_an_object_that_is_not_there_is_reported(browser: Browser, small: Path) -> None:
    browser.open(small, "#object=foo")
    browser.until("document.querySelector('dialog').open")
    assert browser.value("document.getElementById('detail-name').textContent") == "No such object"
    assert "no object “foo”" in browser.value("document.querySelector('dialog').textContent")
    browser.value("document.querySelector('dialog .plain').click()")
    browser.until("document.querySelector('dialog').open", False)


def test_authors_stand_in_words_and_digests_are_short(browser: Browser, small: Path) -> None:
    browser.open(small, "#object=sav_1/manual/1")
    browser.until("document.querySelector('dialog').open")
    words = "Described and judged by the embedded annotator (attributes-1)"
    assert browser.value("document.getElementById('made-by').textContent") == words
    assert words in browser.value("document.querySelector('dialog .facts').textContent")
    assert DIGEST not in browser.value("document.querySelector('dialog').textContent")
    assert browser.value(f"document.querySelector('dialog [title=\"{DIGEST}\"]').textContent") == DIGEST[:12]
