"""How a flow ended is posted where somebody wants it, and nobody who wants nothing or answers nothing stops a flow."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.errors import RefSavError
from refsav.flows.reporting.notifications import NOTHING_NEW, notifies

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was posted to an address of this machine."""
    texts: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("REFSAV_NOTIFY_URL", f"http://127.0.0.1:{server.server_port}/secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield texts
    server.shutdown()
    server.server_close()


@notifies
@flow(name="work")
def work(outcome: str) -> State[None] | None:
    if outcome == "fails":
        raise RefSavError("a video is missing\n  fix: bring it back")
    return Completed(name=NOTHING_NEW) if outcome == "nothing new" else None


def test_completion_and_failure_are_one_line_each(notified: list[str]) -> None:
    assert work("is done", return_state=True).is_completed()
    assert work("fails", return_state=True).is_failed()
    assert [text.split(" ", 2)[0] for text in notified] == ["work", "work"]
    assert notified[0].endswith(": Completed")
    assert notified[1].endswith("RefSavError: a video is missing")
    assert ": Failed: " in notified[1]


@notifies
@flow(name="outer")
def outer() -> None:
    work("is done")


def test_of_a_flow_within_a_flow_only_the_outer_one_is_reported(notified: list[str]) -> None:
    outer()
    assert [text.split(" ")[0] for text in notified] == ["outer"]


def test_no_notification_is_sent_if_there_was_nothing_to_do(notified: list[str]) -> None:
    assert work("nothing new", return_state=True).name == NOTHING_NEW
    assert notified == []


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:9/secret", "no address"])
def test_who_does_not_answer_stops_nothing_and_is_not_named(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFSAV_NOTIFY_URL", address)
    assert work("is done", return_state=True).is_completed()
    shown = capsys.readouterr()
    assert ("REFSAV_NOTIFY_URL: the notification could not be posted" in shown.err) == bool(address)
    assert "secret" not in shown.out + shown.err
