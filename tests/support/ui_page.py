"""`refsav ui` in its own process, its inputs, and the actions of a visitor on its page."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.datasets.video_writer import VideoWriter
from tests.support.browser import Browser
from tests.support.command import start

SIZE = (180, 240)
FRAMES = 9
SAID = "Sure, it is red"


@dataclass(frozen=True)
class Served:
    """A page that is being served."""

    address: str
    process: "subprocess.Popen[str]"
    temporary: Path
    """Where the process keeps its temporary files."""
    called: Path
    """What the process has looked up or connected to, a line each."""


def frame(number: int) -> np.ndarray:
    shown = np.full((*SIZE, 3), 96, np.uint8)
    shown[::12] = 110
    shown[40:110, 30 + 6 * number : 110 + 6 * number] = (200, 40, 40)
    return shown


def write_files(folder: Path) -> Path:
    """A picture, a film, a file that is neither, and one that is larger than may be uploaded."""
    cv2.imwrite(str(folder / "kite.png"), frame(0)[..., ::-1])
    film = VideoWriter(folder / "kites.mp4", SIZE, 12)
    for number in range(FRAMES):
        film.add(frame(number))
    film.finish()
    (folder / "broken.png").write_text("this is no picture")
    (folder / "large.png").write_bytes(os.urandom(3 * 2**20))
    return folder


WATCHING = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        with open({!r}, "a") as called:
            called.write(f"{{event}} {{arguments[1 if event == 'socket.connect' else 0]}}\\n")
sys.addaudithook(watch)
"""


def serve(checkpoint: Path, folder: Path, *options: str) -> Served:
    temporary, called = folder / "tmp", folder / "called.txt"
    temporary.mkdir(parents=True)
    called.touch()
    (folder / "sitecustomize.py").write_text(WATCHING.format(str(called)))
    environment = {
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    process = start("ui", checkpoint, "--port", "0", *options, home=folder / "home", **environment)
    assert process.stdout
    line = process.stdout.readline()
    found = re.fullmatch(r"open (http://127\.0\.0\.1:\d+)\n", line)
    if not found:
        process.kill()
        pytest.fail(f"{line!r}, {process.communicate()}")
    return Served(found[1], process, temporary, called)


def open_page(browser: Browser, page: Served) -> None:
    browser.visit(page.address)
    browser.until("[...document.querySelectorAll('.example img')].filter((it) => it.naturalWidth > 0).length", 2)


def upload(browser: Browser, file: Path) -> None:
    browser.choose_file("#drop input[type=file]", file)


def choose(browser: Browser, file: Path) -> None:
    """Upload a file and wait until it is seen."""
    upload(browser, file)
    browser.until(f"(document.querySelector('#size')?.innerText ?? '').startsWith('{SIZE[1]} × {SIZE[0]} pixels')")
    browser.until("document.querySelector('#picture img')?.naturalWidth > 0")


def tab(browser: Browser, name: str) -> None:
    browser.click(f"#tasks [data-tab-id={name}]")


def shown(browser: Browser, selector: str) -> str:
    return browser.value(f"document.querySelector('{selector}')?.innerText ?? ''")


def until_answered(browser: Browser, text: str) -> None:
    """Wait until a result is there whole, with this in its text."""
    facts = "[...document.querySelectorAll('#answer:has(.facts)')]"
    browser.until(f"{facts}.some((it) => it.innerText.includes({json.dumps(text)}))", within_s=90)
