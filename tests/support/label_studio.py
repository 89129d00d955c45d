"""A real Label Studio for tests, and the accounts of its users."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from refsav.datasets.review.config import ReviewConfig

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv-label-studio/bin/label-studio"
READY_WITHIN_S = 480.0  # a database is made first: a minute, or several on a busy machine
PASSWORD = "for-tests-only"  # noqa: S105
OWNER = "owner@example.org"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    address: str
    process: "subprocess.Popen[bytes]"


def config_of(server: Server) -> ReviewConfig:
    """Settings of a review by three annotators, in batches that are small enough to need several."""
    return ReviewConfig(address=server.address, batch_tasks=2, annotators=3)


@contextmanager
def label_studio(home: Path, document_root: Path) -> Iterator[Server]:
    """Run Label Studio with its database in `home`, listening on loopback; install it first if it is missing."""
    if not PROGRAM.exists():
        subprocess.run(["make", "-C", ROOT, ".venv-label-studio/.installed"], check=True, timeout=600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    switched_off = dict.fromkeys(("COLLECT_ANALYTICS", "LATEST_VERSION_CHECK"), "false")
    settings = {
        **switched_off,
        "LABEL_STUDIO_BASE_DATA_DIR": str(home),
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
    }
    options = ["--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    account = ["--username", OWNER, "--password", PASSWORD]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "start", *options, *account],
            env={**os.environ, **settings},
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, address, home / "server.log")
        yield Server(address, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"Label Studio is not ready: {log.read_text()[-2000:]}")


class Person:
    """Somebody with an account, logged in as a browser is."""

    def __init__(self, address: str, email: str) -> None:
        """Log in."""
        self.email = email
        self._client = httpx.Client(base_url=address, follow_redirects=True, timeout=60, trust_env=False)
        self._submit("/user/login/")

    @classmethod
    def invited(cls, owner: "Person", email: str) -> "Person":
        """Make an account by the owner's invitation."""
        address = str(owner._client.base_url)
        invitation = owner.ask("GET", "/api/invite")["invite_url"]
        person = cls.__new__(cls)
        person.email = email
        person._client = httpx.Client(base_url=address, follow_redirects=True, timeout=60, trust_env=False)
        person._submit(invitation)
        return person

    def _submit(self, form: str) -> None:
        page = self._client.get(form)
        hidden = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert hidden, page.text[:500]
        data = {"csrfmiddlewaretoken": hidden[1], "email": self.email, "password": PASSWORD}
        answer = self._client.post(form, data=data, headers={"Referer": str(page.url)})
        assert "/user/" not in str(answer.url), answer.url

    def ask(self, method: str, path: str, **content: Any) -> Any:
        """Ask the API for something."""
        headers = {"X-CSRFToken": self._client.cookies["csrftoken"], "Referer": str(self._client.base_url)}
        answer = self._client.request(method, path, headers=headers, **content)
        assert answer.is_success, answer.text[:1000]
        return answer.json() if answer.content else None

    def token(self) -> str:
        """Make a personal access token."""
        return str(self.ask("POST", "/api/token/")["token"])

    def tasks(self, project: int) -> dict[str, int]:
        """Number of every task, by refsav's own name for it."""
        found = self.ask("GET", "/api/tasks", params={"project": project, "page_size": 500})["tasks"]
        return {task["data"]["task"]: task["id"] for task in found}

    def annotate(
        self, task: int, verdict: str, *, long: str | None = None, short: str = "", reasons: tuple[str, ...] = ()
    ) -> int:
        """Submit an annotation as the labelling page does; give its number."""
        chosen = {"verdict": [verdict] if verdict else [], "reasons": list(reasons)}
        written = {"long": long, "short": short or None}
        result = [
            {"from_name": name, "to_name": "strip", "type": "choices", "value": {"choices": choices}}
            for name, choices in chosen.items()
            if choices
        ] + [
            {"from_name": name, "to_name": "strip", "type": "textarea", "value": {"text": [text]}}
            for name, text in written.items()
            if text is not None
        ]
        return int(self.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 1.0})["id"])
