"""The requests of `refsav up` reach Prefect's server, also when the server's database is locked for a moment."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from refsav.service import prefect_api
from refsav.service.prefect_api import PrefectApi

FLOW_RUNS = [{"id": "dead"}, {"id": "alive"}]


class Busy(BaseHTTPRequestHandler):
    """Answers every other request with 503, as Prefect does while its database is locked."""

    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        self.send_response(503 if len(self.asked) % 2 else 200)
        self.end_headers()
        self.wfile.write(json.dumps(FLOW_RUNS).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Busy.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_a_request_is_repeated_while_the_database_is_locked(address: str) -> None:
    with PrefectApi(address) as api:
        assert api.crash_runs("refsav", {"alive"}) == 1
    assert Busy.asked == ["/api/flow_runs/filter"] * 2 + ["/api/flow_runs/dead/set_state"] * 2


def test_a_database_that_stays_locked_is_reported(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_api, "RETRIES_FOR_S", -1.0)
    with PrefectApi(address) as api, pytest.raises(httpx.HTTPStatusError, match="503"):
        api.crash_runs("refsav", ())
