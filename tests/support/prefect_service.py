"""A service that `refsav up` has started for a test: its deployments, its runs, its processes."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.command import Finished, refsav

DEPLOYMENT = "build-ref-sav"


@dataclass(frozen=True, slots=True)
class Running:
    """The service of one folder."""

    folder: Path
    port: int

    @property
    def state(self) -> Path:
        return self.folder / "runs/service/service.json"

    def up(self, **environment: str) -> Finished:
        return refsav("up", "--port", str(self.port), home=self.folder, folder=self.folder, **environment)

    def down(self) -> Finished:
        return refsav("down", home=self.folder, folder=self.folder)

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(json.loads(self.state.read_text())["processes"][name])

    def deploy(self, deployment: Mapping[str, Any]) -> None:
        """Write prefect.yaml with one deployment of the incremental build; `up` deploys it."""
        shipped = {
            "name": DEPLOYMENT,
            "entrypoint": "refsav.flows.update:update_ref_sav",
            "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
            "work_pool": {"name": "refsav"},
        }
        content = {"name": "refsav", "pull": [], "deployments": [{**shipped, **deployment}]}
        (self.folder / "prefect.yaml").write_text(json.dumps(content))  # JSON is YAML

    def answers_pages_of(self, origin: str) -> bool:
        """Whether a browser allows a page of another origin to call Prefect's API."""
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            answer = client.options(f"http://127.0.0.1:{self.port}/api/flow_runs/filter", headers=asked)
        return answer.headers.get("access-control-allow-origin") == origin

    def ask(self, path: str, **content: Any) -> Any:
        """POST to Prefect's API; retry while the server starts or its database is locked (503)."""
        end = time.monotonic() + 180
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            while True:
                try:
                    answer = client.post(f"http://127.0.0.1:{self.port}/api/{path}", json=content)
                    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
                        answer.raise_for_status()
                        return answer.json() if answer.content else None
                except httpx.TransportError:
                    if time.monotonic() > end:
                        raise
                time.sleep(0.5)

    def deployment(self) -> dict[str, Any]:
        """The deployment as Prefect's server has it."""
        (found,) = self.ask("deployments/filter", deployments={"name": {"any_": [DEPLOYMENT]}})
        return dict(found)

    def fire(self) -> str:
        """Start a run of the deployment now; return the flow run's id."""
        return str(self.ask(f"deployments/{self.deployment()['id']}/create_flow_run")["id"])

    def runs(self) -> list[dict[str, Any]]:
        """Runs of the deployment that have started, the oldest first."""
        flows = {"name": {"any_": ["update-ref-sav"]}}
        found = self.ask("flow_runs/filter", flows=flows, sort="START_TIME_ASC", limit=100)
        return [run for run in found if run["start_time"] or run["state_type"] not in ("SCHEDULED", "PENDING")]

    def run(self, flow_run: str) -> dict[str, Any]:
        (found,) = self.ask("flow_runs/filter", flow_runs={"id": {"any_": [flow_run]}})
        return dict(found)

    def ended(self, flow_run: str, within_s: float = 150.0) -> dict[str, Any]:
        """Wait until a flow run has ended, and return it."""
        until(lambda: self.run(flow_run)["state"]["type"] in ENDED, within_s)
        return self.run(flow_run)


ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@contextmanager
def service(folder: Path, deployment: Mapping[str, Any], **environment: str) -> Iterator[Running]:
    """Start a service with one deployment of the incremental build; end it in any case."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = Running(folder, int(taken.getsockname()[1]))
    running.deploy(deployment)
    try:
        started = running.up(PREFECT_WORKER_QUERY_SECONDS="2", **environment)
        assert started.code == 0, started.err
        yield running
    finally:
        running.down()


def until(holds: Callable[[], bool], within_s: float) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"not within {within_s:.0f} s"
        time.sleep(0.5)


def kill(process: psutil.Process) -> None:
    """Kill a process and its descendants, as a power cut would."""
    for one in (*process.children(recursive=True), process):
        os.kill(one.pid, signal.SIGKILL)
