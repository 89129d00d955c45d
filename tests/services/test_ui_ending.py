"""Work on the page that is stopped, and the end of `refsav ui` itself: soon, with nothing left behind."""

import signal
import time
from pathlib import Path

import pytest

from refsav.datasets.video_writer import VideoWriter
from tests.support.browser import Browser
from tests.support.ui_page import FRAMES, SAID, SIZE, choose, frame, open_page, serve, shown, tab

pytestmark = [pytest.mark.services, pytest.mark.timeout(280)]


def test_a_job_is_stopped_and_the_next_one_is_done(checkpoint: Path, chromium: Browser, tmp_path: Path) -> None:
    page = serve(checkpoint, tmp_path / "served")
    film = VideoWriter(tmp_path / "long.mp4", SIZE, 24)
    for number in range(1500):
        film.add(frame(number % FRAMES))
    film.finish()
    try:
        open_page(chromium, page)
        choose(chromium, tmp_path / "long.mp4")
        chromium.write("#expressions textarea", "the kite")
        chromium.click("#run-segment")
        chromium.until("/Frame \\d+ of 1500/.test(document.querySelector('#status').innerText)", within_s=60)
        assert SAID in shown(chromium, "#answer")  # before its masks are there
        assert chromium.value("document.querySelector('#run-segment').disabled")
        chromium.click("#stop")
        chromium.until("document.querySelector('#status').innerText.trim()", "Stopped.")
        tab(chromium, "ask")
        chromium.until("document.querySelector('#question textarea')?.offsetWidth > 0")
        chromium.write("#question textarea", "What is red?")
        chromium.click("#run-ask")
        chromium.until("/Frame \\d+ of 1500/.test(document.querySelector('#status').innerText)", within_s=60)
        chromium.visit("about:blank")  # who leaves takes the job along
        end = time.monotonic() + 20
        while left := [*page.temporary.glob("refsav-ui-*/results/*")]:
            assert time.monotonic() < end, left
            time.sleep(0.1)
    finally:
        page.process.send_signal(signal.SIGTERM)
        page.process.communicate(timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_while_it_works_and_leaves_nothing(
    checkpoint: Path, chromium: Browser, files: Path, tmp_path: Path, number: signal.Signals
) -> None:
    page = serve(checkpoint, tmp_path / "served")
    open_page(chromium, page)
    choose(chromium, files / "kites.mp4")
    chromium.write("#expressions textarea", "\n".join(f"kite {one}" for one in range(150)))
    chromium.click("#run-segment")
    chromium.until("document.querySelector('#stop')?.offsetWidth > 0")
    began = time.monotonic()
    page.process.send_signal(number)
    out, err = page.process.communicate(timeout=20)
    assert time.monotonic() - began < 12  # three on a machine with nothing else to do
    assert [*page.temporary.iterdir()] == []
    assert out == "" and "Traceback" not in err, err
    assert page.process.returncode == (143 if number == signal.SIGTERM else 0)
