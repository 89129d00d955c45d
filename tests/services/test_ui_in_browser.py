"""`refsav ui` as a visitor meets it: a real process, a real browser, files really uploaded and downloaded."""

import json
import re
import shutil
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from refsav.datasets.frames import probe
from refsav.model.output.result_json import is_result
from tests.support.browser import Browser
from tests.support.models.speaking import write_speaking
from tests.support.ui_page import (
    FRAMES,
    SAID,
    SIZE,
    Served,
    choose,
    frame,
    open_page,
    serve,
    shown,
    tab,
    until_answered,
    upload,
)

pytestmark = [pytest.mark.services, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def page(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = serve(checkpoint, tmp_path_factory.mktemp("served"), "--upload-mb", "2")
    yield served
    served.process.kill()
    served.process.wait(10)


@pytest.fixture
def browser(chromium: Browser, page: Served) -> Iterator[Browser]:
    chromium.resize(1360)
    open_page(chromium, page)
    yield chromium
    assert chromium.complaints(page.address) == []


def downloaded(browser: Browser, button: str, folder: Path) -> Path:
    """Press a button that downloads, and wait for the file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.click(button)
    end = time.monotonic() + 20
    while not (found := [path for path in folder.iterdir() if path.suffix != ".crdownload"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found[0]


def differs_from_input(browser: Browser) -> bool:
    """Whether the picture of the answer is another than the one that was asked about."""
    pixels = (
        "(async (it) => { await it.decode(); const canvas = document.createElement('canvas'); "
        "canvas.width = it.naturalWidth; canvas.height = it.naturalHeight; const on = canvas.getContext('2d'); "
        "on.drawImage(it, 0, 0); return [...on.getImageData(0, 0, canvas.width, canvas.height).data] })"
        "(document.querySelector('#overlay img'))"
    )
    after = np.array(browser.value(pixels), np.uint8).reshape(*SIZE, 4)[..., :3]
    return np.mean(np.abs(after.astype(int) - frame(0)) > 20) > 0.01


def test_a_picture_is_uploaded_and_what_is_named_is_found(browser: Browser, files: Path, tmp_path: Path) -> None:
    choose(browser, files / "kite.png")
    browser.write("#expressions textarea", "the red kite\n<b>the ground</b>")
    browser.click("#run-segment")
    until_answered(browser, "of the image")
    answer = shown(browser, "#answer")
    assert answer.count(SAID) == 2 and "the red kite" in answer and "<b>the ground</b>" in answer
    colours = browser.value(
        "['mark.phrase', '#answer .said .disc'].map((one) => [...document.querySelectorAll(one)]"
        ".map((it) => getComputedStyle(it)[one.startsWith('mark') ? 'borderBottomColor' : 'backgroundColor']))"
    )
    assert colours == [["rgb(30, 144, 255)", "rgb(255, 140, 0)"]] * 2
    assert differs_from_input(browser)
    assert "2048 tokens" in shown(browser, ".facts")
    result = downloaded(browser, "#download-json", tmp_path / "json")
    assert is_result(result)
    said = json.loads(result.read_text())
    assert (said["input"], said["task"], said["width"]) == ("kite", "segment", SIZE[1])
    assert [one["phrase"] for one in said["objects"]] == ["the red kite", "<b>the ground</b>"]
    with zipfile.ZipFile(downloaded(browser, "#download-zip", tmp_path / "zip")) as archive:
        assert archive.testzip() is None
        assert {"kite-segment/overlay.png", "kite-segment/masks/001/00000.png"} <= set(archive.namelist())


def test_a_question_is_asked_with_the_keyboard_alone(browser: Browser, files: Path) -> None:
    choose(browser, files / "kite.png")
    tab(browser, "ask")
    browser.until("document.querySelector('#question textarea')?.offsetWidth > 0")
    browser.write("#question textarea", "What is red?")
    browser.press("Enter")
    until_answered(browser, SAID)
    assert differs_from_input(browser)


def test_objects_are_marked_by_clicks_and_their_masks_made(browser: Browser, files: Path, tmp_path: Path) -> None:
    choose(browser, files / "kite.png")
    browser.click("#picture img", (0.25, 0.4))  # a click brings the tab with it
    browser.until("document.querySelector('#number label input:checked')?.parentElement.innerText.trim()", "1")
    browser.click("#tool label:nth-of-type(2)")
    browser.click("#picture img", (0.9, 0.9))
    browser.until("document.querySelectorAll('#number label').length", 2)
    browser.click("#number label:nth-of-type(2)")
    browser.click("#tool label:nth-of-type(3)")
    browser.click("#picture img", (0.75, 0.75))
    browser.click("#picture img", (0.5, 0.25))
    browser.until("document.querySelectorAll('#number label').length", 3)
    over = "[...document.querySelectorAll('#marked .dot:not(.outside)')].map((it) => it.getBoundingClientRect())"
    seen = browser.value(f"{over}.map((it) => [it.x + it.width / 2, it.y + it.height / 2])")
    box = browser.value(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.querySelector('#picture img').getBoundingClientRect())"
    )
    shares = [((x - box[0]) / box[2], (y - box[1]) / box[3]) for x, y in seen]
    assert np.allclose(shares, [(0.25, 0.4), (0.5, 0.25)], atol=0.01)
    browser.click("#as-text button")
    browser.until("!!document.querySelector('#marks textarea')")
    text = browser.value("document.querySelector('#marks textarea').value")
    numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
    wanted = [60, 72, 216, 162, 0, 120, 45, 180, 135]
    assert len(numbers) == len(wanted) and np.allclose(numbers, wanted, atol=1), text
    browser.click("#run-track")
    until_answered(browser, "object 2")
    browser.until("document.querySelector('#overlay img')?.naturalWidth", SIZE[1])
    said = json.loads(downloaded(browser, "#download-json", tmp_path / "json").read_text())
    assert said["task"] == "track" and len(said["objects"]) == 2
    browser.click("#undo")
    browser.until("document.querySelectorAll('#number label').length", 2)
    browser.click("#clear")
    browser.until("document.querySelector('#marks textarea').value", "")


def test_a_video_is_asked_and_followed_and_plays(browser: Browser, files: Path, tmp_path: Path) -> None:
    choose(browser, files / "kites.mp4")
    assert f"{FRAMES} frames" in shown(browser, "#size")
    browser.write("#expressions textarea", "the red kite")
    browser.click("#run-segment")
    until_answered(browser, f"of {FRAMES} frames")
    assert "first-5" in shown(browser, ".facts") and "official" in shown(browser, ".facts")
    browser.until("document.querySelector('#film video')?.readyState >= 3")
    assert browser.value("document.querySelector('#film video').videoWidth") == SIZE[1]
    browser.value("document.querySelector('#film video').play()")
    browser.until("document.querySelector('#film video').currentTime > 0.2")
    before = browser.value("document.querySelector('#picture img').src")
    browser.write("#frame input[type=number]", "4")
    browser.press("Enter")
    browser.press("Tab")
    now = "((it) => it.complete && it.naturalWidth > 0 && it.src)(document.querySelector('#picture img'))"
    browser.until(f"![false, {json.dumps(before)}].includes({now})")
    browser.click("#picture img", (0.4, 0.4))
    browser.click("#as-text button")
    browser.until("document.querySelector('#marks textarea')?.value.endsWith('@4')")
    assert shown(browser, "#run-track") == "Track them"
    browser.click("#run-track")
    until_answered(browser, "object 1")
    with zipfile.ZipFile(downloaded(browser, "#download-zip", tmp_path / "zip")) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "kites-track"
    assert is_result(folder / "result.json") and probe(folder / "overlay.mp4").frame_count == FRAMES


def test_the_page_shows_errors(browser: Browser, page: Served, files: Path) -> None:
    browser.click("#run-segment")
    browser.until("document.querySelector('#status [role=alert]')?.innerText.includes('no image or video yet')")
    upload(browser, files / "broken.png")
    browser.until("document.querySelector('#notice [role=alert]')?.innerText.includes('is text, not an image')")
    assert "tmp" not in shown(browser, "#notice")
    open_page(browser, page)
    choose(browser, files / "kite.png")
    browser.click("#run-segment")
    browser.until("document.querySelector('#status [role=alert]')?.innerText.includes('There is no expression')")
    browser.click("#settings button")
    browser.write("#key-frames :is(input, textarea)", "7")
    browser.write("#expressions textarea", "the kite")
    browser.click("#run-segment")
    browser.until("document.querySelector('#status [role=alert]')?.innerText.includes('not in a clip of 1 frames')")
    tab(browser, "point")
    browser.until("document.querySelector('#run-region')?.disabled")
    assert "Qwen3-VL was never trained with visual prompts" in shown(browser, "#no-regions")
    assert "Traceback" not in browser.value("document.body.innerText")


def test_an_upload_has_an_end(chromium: Browser, page: Served, files: Path) -> None:
    open_page(chromium, page)
    upload(chromium, files / "large.png")
    chromium.until("document.body.innerText.includes('maximum allowed size')")


def test_examples_are_one_click_away_and_the_page_fits_a_phone(browser: Browser) -> None:
    browser.resize(390)
    browser.click("#examples button")
    browser.until("document.querySelector('#picture img')?.naturalWidth", 1280)
    assert browser.value("document.documentElement.scrollWidth") == 390
    tabs = "[...document.querySelectorAll('[role=tab]')].map((it) => it.getBoundingClientRect().y)"
    assert len(set(browser.value(tabs))) == 1
    browser.write("#expressions textarea", "the star")
    browser.click("#run-segment")
    until_answered(browser, SAID)
    browser.until("document.querySelector('#overlay')?.getBoundingClientRect().bottom <= innerHeight")


def test_where_the_keyboard_is_can_be_seen(browser: Browser) -> None:
    seen = set()
    for _ in range(6):
        browser.press("Tab")
        where = browser.value(
            "(() => { const it = document.activeElement, style = getComputedStyle(it); "
            "return [it.innerText || it.tagName, style.outlineStyle, parseFloat(style.outlineWidth)] })()"
        )
        assert where[1:] == ["solid", 3], where
        seen.add(where[0])
    assert {"An image", "A video", "Segment"} <= seen


def test_marked_objects_are_described_by_a_family_that_takes_regions(
    chromium: Browser, files: Path, tmp_path: Path
) -> None:
    page = serve(write_speaking(tmp_path / "internvl", "pocket-internvl"), tmp_path / "served")
    try:
        chromium.resize(1360)
        open_page(chromium, page)
        choose(chromium, files / "kite.png")
        chromium.click("#picture img", (0.25, 0.4))
        chromium.click("#run-region")
        until_answered(chromium, SAID)
        assert chromium.value("document.querySelector('#no-regions')") is None
        assert chromium.complaints(page.address) == []
    finally:
        page.process.send_signal(signal.SIGTERM)
        page.process.communicate(timeout=20)


def test_nothing_but_the_page_is_served(page: Served) -> None:
    def status(path: str, **headers: str) -> int:
        request = urllib.request.Request(page.address + path, headers=headers)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("/") == 200
    for path in ("/etc/passwd", Path(__file__), page.temporary / "refsav-ui-x" / ".." / "y"):
        assert status(f"/gradio_api/file={path}") == 403
    assert status(f"/gradio_api/file={urllib.parse.quote('http://127.0.0.1:1/x', safe='')}") == 403
    assert status("/gradio_api/info") == 403
    assert status("/", Host="evil.example") == 403
    made = next(page.temporary.glob("refsav-ui-*"))
    assert made.stat().st_mode & 0o077 == 0
    assert status(f"/gradio_api/file={made}/examples/shapes.png") == 200


def test_the_server_has_called_nobody(page: Served) -> None:
    """Comes last: everything above has gone through this server."""
    calls = page.called.read_text().splitlines()
    assert calls, "not even its own address was looked up: nobody has watched"
    assert [call for call in calls if "127.0.0.1" not in call] == []
