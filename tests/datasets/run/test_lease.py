"""One holder at a time: refused by name, free at once after a death here and some minutes after one elsewhere."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from refsav.datasets.run.lease import ENDS_AFTER_S, FOLDER, leased
from refsav.datasets.run.storage import Storage
from refsav.disk.lock import LockedError

HOLD = """
import sys, time
from refsav.datasets.run.lease import leased
from refsav.datasets.run.storage import Storage
with leased(Storage(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(600)
"""
ELSEWHERE = {"host": "far", "machine": "another", "process": 7, "started": 0.0}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def claim_of_another_machine(tmp_path: Path, age_s: float) -> Path:
    path = tmp_path / FOLDER / "run" / "claim.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(ELSEWHERE))
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_the_second_is_told_who_holds_it_and_comes_in_when_it_is_given_back(storage: Storage, tmp_path: Path) -> None:
    told = rf"process {os.getpid()} on {os.uname().nodename} is working on this run"
    with ExitStack() as held:
        held.enter_context(leased(storage, "run"))
        held.enter_context(leased(storage, "bundle-000000"))
        with pytest.raises(LockedError, match=told):
            held.enter_context(leased(storage, "run", within_s=0))
    with leased(storage, "run"):
        pass
    assert list((tmp_path / FOLDER).rglob("*.json")) == []


def test_a_holder_of_this_machine_that_was_killed_is_in_nobodys_way(storage: Storage, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {process.pid} on"), leased(storage, "run", within_s=0):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with leased(storage, "run", within_s=0):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_machine_that_gives_no_sign_of_life_is_in_nobodys_way_after_some_minutes(
    storage: Storage, tmp_path: Path
) -> None:
    claim = claim_of_another_machine(tmp_path, ENDS_AFTER_S / 2)
    with pytest.raises(LockedError, match=r"process 7 on far .*\n  fix: .* 2 minutes"), leased(storage, "run", 0):
        pass
    os.utime(claim, (0, 0))
    with leased(storage, "run", within_s=0):
        assert not claim.exists()


def test_who_was_taken_for_dead_is_told(storage: Storage, tmp_path: Path) -> None:
    with leased(storage, "run") as lease:
        lease.require()
        for claim in (tmp_path / FOLDER).rglob("*.json"):
            claim.unlink()
        with pytest.raises(LockedError, match="another build has taken this run over"):
            lease.require()


def test_of_many_that_come_at_once_there_is_never_more_than_one(storage: Storage) -> None:
    holding = threading.Semaphore(1)
    came: list[bool] = []

    def come() -> None:
        with leased(storage, "run", within_s=60):
            came.append(holding.acquire(blocking=False))
            time.sleep(0.02)
            holding.release()

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [True] * 6
