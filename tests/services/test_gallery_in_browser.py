"""The gallery in a real browser, opened as a file: text stays text, films play, 10,000 objects stay quick."""

import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refsav.annotators.gallery import ReportConfig, write_bundle
from refsav.annotators.gallery_index import write_index
from refsav.annotators.plan import Bundle, extend_plan, read_plan
from refsav.annotators.preview import encode_mp4
from refsav.annotators.views import ViewsConfig
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
    Verdict,
    VideoCaption,
    VideoFile,
)
from refsav.datasets.run import RunDirectory
from refsav.datasets.sav import SourceConfig

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

SIZE = (96, 128)
MANY = 10_000
HOSTILE = "<script>window.owned = true</script><img src=x onerror='window.owned = true'> & \u2028 \"quoted\""
MADE_BY = Provenance(vlm="attributes", judge="attributes", prompts="12ab")


class Browser:
    """Chromium without a window, driven through its debugging pipe: JSON messages that end in a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        redirect = f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}'
        options = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", redirect, program, *options, "about:blank"],
            pass_fds=(read_there, write_there),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self._in, self._out = write_here, read_here
        self._buffer = b""
        self._sent = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        screen = {"width": 1360, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **screen)

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Give an order and wait for what comes of it."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters, **self._session}
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._sent:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._out], [], [], 60)[0], "the browser says nothing for a minute"
            block = os.read(self._out, 1 << 16)
            assert block, "the browser has ended"
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def value(self, script: str) -> Any:
        """Evaluate JavaScript; promises are waited for."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, wanted: object = True) -> None:
        """Wait until JavaScript gives a value."""
        end = time.monotonic() + 20
        while (got := self.value(script)) != wanted:
            assert time.monotonic() < end, f"{script} is {got!r}, not {wanted!r}"
            time.sleep(0.05)

    def open(self, page: Path, fragment: str = "") -> None:
        """Open a page from disk, anew, and wait for its first cards."""
        self.events.clear()
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=f"{page.as_uri()}{fragment}")
        self.until("document.readyState", "complete")
        self.until("/object/.test(document.getElementById('found').textContent)")

    def press(self, key: str) -> None:
        """Press a key."""
        number = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number)

    def complaints(self) -> list[object]:
        """What the browser logged as an error, and every address it asked for that is no file and not its own icon."""
        logged = [event["params"] for event in self.events if event.get("method") == "Runtime.exceptionThrown"]
        logged += [event["params"]["entry"]["text"] for event in self.events if event.get("method") == "Log.entryAdded"]
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [*logged, *(url for url in asked if not url.startswith(("file://", "about:", "data:")))]

    def close(self) -> None:
        """End the browser."""
        self.send("Browser.close")
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("no Chromium is installed: apt-get install chromium")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def expression(track: ObjectTrack, text: str) -> Expression:
    return Expression(
        track=track,
        captions=ObjectCaptions(crop=f"Crop: {text}", masked=f"Masked: {text}"),
        verdict=Verdict(consistent=True, confidence=0.9, reason=""),
        scene=SceneCaption(text=f"Scene: {text}"),
        video=VideoCaption(text=text),
        provenance=MADE_BY,
    )


def square(video_id: str, masklet_id: int) -> ObjectTrack:
    mask = np.zeros(SIZE, bool)
    mask[20:60, 30:80] = True
    return ObjectTrack(
        video_id=video_id,
        source="manual",
        masklet_id=masklet_id,
        column=masklet_id,
        size=SIZE,
        masks=(encode(mask),) * 6,
        areas_px=(2000,) * 6,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kept objects, one of them with hostile text, one dropped, one failed; the first three with pictures."""
    folder = tmp_path_factory.mktemp("small")
    run = RunDirectory(folder / "run")
    media = folder / "sav_1.mp4"
    media.write_bytes(encode_mp4([np.full((*SIZE, 3), 90 + 2 * n, np.uint8) for n in range(24)], SIZE, 24.0))
    dropped = Dropped(
        track=square("sav_1", 2),
        stage="judge",
        reason=HOSTILE,
        crop_caption="A red kite.",
        masked_caption="A blue box.",
    )
    failed = Failed(
        key=ObjectKey("sav_1", "auto", 0), column=0, stage="source", error="mask is cut short", request_digest=""
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
    write_bundle(run, bundle, ViewsConfig(), SourceConfig(), ReportConfig())
    return write_index(run, f"Small {HOSTILE}", ReportConfig())


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
        write_bundle(run, bundle, ViewsConfig(), SourceConfig(), ReportConfig(max_objects=0))
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
    browser.until("document.querySelector('dialog .error')?.textContent", "mask is cut short")
    assert "no mask" in browser.value("document.querySelector('dialog .blank').textContent")


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
