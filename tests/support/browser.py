"""A browser that tests drive: Chromium without a window."""

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any


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
        self.resize(1360)

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

    def until(self, script: str, wanted: object = True, within_s: float = 20) -> None:
        """Wait until JavaScript gives a value."""
        end = time.monotonic() + within_s
        while (got := self.value(script)) != wanted:
            assert time.monotonic() < end, f"{script} is {got!r}, not {wanted!r}"
            time.sleep(0.05)

    def open(self, page: Path, fragment: str = "") -> None:
        """Open or reload a page from disk, and wait for its first cards."""
        self.events.clear()
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=f"{page.as_uri()}{fragment}")
        self.until("document.readyState", "complete")
        self.until("/object/.test(document.getElementById('found').textContent)")

    def visit(self, address: str) -> None:
        """Open or reload a page of a server."""
        self.events.clear()
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)
        self.until("document.readyState", "complete")

    def choose_file(self, selector: str, file: Path) -> None:
        """Give a file to a page's file input, as its dialog does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Click on an element, at a share of its width and height, once it has come to rest where it can be seen."""
        find = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{find} && {find}.offsetWidth > 0 && !{find}.disabled")
        measure = (
            f"(() => {{ const it = {find}; it.scrollIntoView({{block: 'center', behavior: 'instant'}}); "
            "const box = it.getBoundingClientRect(); return [box.x, box.y, box.width, box.height] })()"
        )
        box: list[float] = []
        while box != (now := self.value(measure)):
            box = now
            time.sleep(0.1)
        x, y = box[0] + at[0] * box[2], box[1] + at[1] * box[3]
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            held = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def write(self, selector: str, text: str) -> None:
        """Type into a field, in place of what is in it."""
        find = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{find}")
        self.value(f"{find}.focus(), {find}.select()")
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Keep what is on the screen as a PNG, or the `whole` page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def resize(self, width: int) -> None:
        """Give the screen another width, in pixels; a narrow one is a phone's."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **screen)

    def press(self, key: str) -> None:
        """Press a key."""
        number = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13}[key]
        down = {"type": "keyDown", "text": "\r"} if key == "Enter" else {"type": "rawKeyDown"}
        for kind in (down, {"type": "keyUp"}):
            self.send("Input.dispatchKeyEvent", key=key, code=key, windowsVirtualKeyCode=number, **kind)

    def complaints(self, *own: str) -> list[object]:
        """What the browser logged as an error, and every address that it requested, except files and its `own`."""
        logged = [event["params"] for event in self.events if event.get("method") == "Runtime.exceptionThrown"]
        logged += [event["params"]["entry"]["text"] for event in self.events if event.get("method") == "Log.entryAdded"]
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [*logged, *(url for url in asked if not url.startswith(("file://", "about:", "data:", *own)))]

    def close(self) -> None:
        """End the browser."""
        self.send("Browser.close")
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)
