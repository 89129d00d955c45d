"""With PREFECT_API_URL a build is seen on a real Prefect server: the flow run, its tasks and what came out."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import refsav
from tests.support.prefect_server import prefect_server

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
CopyClips = Callable[..., Path]


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
        yield address


def listed(prefect: str, what: str) -> list[dict[str, Any]]:
    asked = b'{"sort": "ID_DESC"}' if what == "artifacts" else b"{}"
    request = urllib.request.Request(f"{prefect}/{what}/filter", asked)  # noqa: S310 - a test's own server
    request.add_header("content-type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_the_server_gets_the_flow_run_its_tasks_and_the_artifacts(
    copy_clips: CopyClips, prefect: str, tmp_path: Path
) -> None:
    source = copy_clips(tmp_path / "source", "vos_000001", "vos_000002")
    key = "sk-do-not-tell-99"
    built = refsav("build", source, tmp_path / "my-run", home=tmp_path, PREFECT_API_URL=prefect, REFSAV_API_KEY=key)
    assert built.code == 0, built.err
    (flow,) = listed(prefect, "flows")
    assert flow["name"] == "build-ref-sav"
    (flow_run,) = listed(prefect, "flow_runs")
    assert flow_run["state_type"] == "COMPLETED"
    tasks = {run["name"]: run["state_type"] for run in listed(prefect, "task_runs")}
    assert "annotate bundle-000000" in tasks
    assert set(tasks.values()) == {"COMPLETED"}
    artifacts = listed(prefect, "artifacts")
    assert {artifact["type"] for artifact in artifacts} == {"progress", "table", "markdown"}
    by_key = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert {artifact["data"] for artifact in artifacts if artifact["type"] == "progress"} == {100}
    assert "3 objects = 3 expressions + 0 dropped + 0 failed" in by_key["my-run-summary"]
    assert by_key["my-run-summary"].count("](data:image/jpeg;base64,") == 2, "a strip of each video"
    table = json.loads(by_key["my-run-objects"])
    assert table[0]["outcome"] == "expressions"
    assert table[0]["objects"] == 3
    logs = listed(prefect, "logs")
    assert any("Finished in state Completed" in log["message"] for log in logs)
    assert "Completed" not in built.err, "the terminal has its own bars"
    assert key not in json.dumps([logs, flow_run, listed(prefect, "task_runs"), artifacts])
