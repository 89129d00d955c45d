"""`refsav up`: a schedule fires by itself and builds, nothing new is nothing done, a new video is picked up alone."""

import shutil
import socket
from datetime import datetime
from pathlib import Path

import pytest
from psutil import STATUS_ZOMBIE

from refsav.datasets.run.parts import read_expressions
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import refsav
from tests.support.prefect_service import Running, service, until

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


def seconds(run: dict[str, str]) -> float:
    begin, end = (datetime.fromisoformat(run[key]) for key in ("start_time", "end_time"))
    return (end - begin).total_seconds()


def ended(running: Running) -> list[str]:
    """How the runs of the schedule ended; one that falls due while another works is not begun."""
    return [run["state_name"] for run in running.runs() if run["end_time"] and run["state_name"] != "Cancelled"]


def test_up_builds_by_itself_what_is_new_and_down_ends_exactly_that(tmp_path: Path) -> None:
    list(write_scenes(tmp_path / "all", SynthConfig(videos=3, height=120, width=160, frames=16)))
    videos, run = tmp_path / "data/videos", RunDirectory(tmp_path / "runs/ref-sav")
    shutil.copytree(tmp_path / "all", videos)
    new = sorted(videos.rglob("*.mp4"))[-1].stem
    for path in videos.rglob(f"{new}*"):
        path.unlink()
    deployment = {
        "parameters": {"source": "data/videos", "run": "runs/ref-sav"},
        "schedules": [{"interval": 20, "timezone": "Europe/Berlin"}],
    }
    with service(tmp_path, deployment) as running:
        processes = [running.process(name) for name in ("server", "worker")]
        until(lambda: "NothingNew" in ended(running), 240)
        first, second = [one for one in running.runs() if one["state_name"] in ("Completed", "NothingNew")][:2]
        assert (first["state_name"], second["state_name"]) == ("Completed", "NothingNew")
        assert second["state_type"] == "COMPLETED"
        assert seconds(second) < 10
        built = {one.track.video_id for one in read_expressions(run)}
        assert len(built) == 2

        shutil.copytree(tmp_path / "all", videos, dirs_exist_ok=True)
        until(lambda: {one.track.video_id for one in read_expressions(run)} == {*built, new}, 120)
        until(lambda: ended(running).count("Completed") == 2 and ended(running)[-1] == "NothingNew", 120)
        assert len(list(run.expressions.glob("*"))) == 2

        again = running.up()
        assert (again.code, again.err) == (0, ""), "nothing to start, nothing to deploy"
        assert running.answers_pages_of(f"http://localhost:{running.port}")
        assert not running.answers_pages_of("http://somewhere.example"), "who could start anything here"
        running.deploy({**deployment, "tags": ["edited"]})
        edited = running.up()
        assert ("starting" in edited.err, "deploying" in edited.err) == (False, True)
        assert running.deployment()["tags"] == ["edited"]
        assert [running.process(name) for name in ("server", "worker")] == processes
        down = running.down()
        assert "ended: worker, server" in down.out
        assert not any(process.is_running() and process.status() != STATUS_ZOMBIE for process in processes)
        assert running.down().out == "nothing runs\n"


def test_a_port_that_is_taken_and_a_file_that_is_not_there_are_reported(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("name: refsav\npull: []\ndeployments: []\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = refsav("up", "--port", str(port), home=tmp_path, folder=tmp_path)
    assert refused.code == 1
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use\n  fix: end what listens" in refused.err
    lost = refsav("up", "--deployments", "lost.yaml", home=tmp_path, folder=tmp_path)
    assert "error: lost.yaml: there is no such file\n  fix: " in lost.err
