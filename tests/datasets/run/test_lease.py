"""One holder at a time: others are refused with its name; a dead holder's lease becomes free."""

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

from refsav.datasets.run.lease import ENDS_AFTER_S, LEASES_FOLDER, hold_lease
from refsav.datasets.run.storage import Storage
from refsav.disk.lock import LockedError

HOLD = """
import sys, time
from refsav.datasets.run.lease import hold_lease
from refsav.datasets.run.storage import Storage
with hold_lease(Storage(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(600)
"""
ELSEWHERE = {"host": "far", "machine": "another", "process": 7, "started": 0.0}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def claim_of_another_machine(tmp_path: Path, age_s: float) -> Path:
    path = tmp_path / LEASES_FOLDER / "run" / "claim.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(ELSEWHERE))
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_the_error_names_the_holder_and_a_released_lease_can_be_held_again(storage: Storage, tmp_path: Path) -> None:
    message = rf"process {os.getpid()} on {os.uname().nodename} is working on this run"
    with ExitStack() as held:
        held.enter_context(hold_lease(storage, "run"))
        held.enter_context(hold_lease(storage, "bundle-000000"))
        with pytest.raises(LockedError, match=message):
            held.enter_context(hold_lease(storage, "run", within_s=0))
    with hold_lease(storage, "run"):
        pass
    assert list((tmp_path / LEASES_FOLDER).rglob("*.json")) == []


def test_the_lease_of_a_killed_process_of_this_machine_is_free_at_once(storage: Storage, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {process.pid} on"), hold_lease(storage, "run", within_s=0):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with hold_lease(storage, "run", within_s=0):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_machine_that_gives_no_sign_of_life_is_in_nobodys_way_after_some_minutes(
    storage: Storage, tmp_path: Path
) -> None:
    claim = claim_of_another_machine(tmp_path, ENDS_AFTER_S / 2)
    with pytest.raises(LockedError, match=r"process 7 on far .*\n  fix: .* 2 minutes"), hold_lease(storage, "run", 0):
        pass
    os.utime(claim, (0, 0))
    with hold_lease(storage, "run", within_s=0):
        assert not claim.exists()


def test_a_holder_whose_lease_was_taken_over_gets_an_error(storage: Storage, tmp_path: Path) -> None:
    with hold_lease(storage, "run") as lease:
        lease.require_held()
        for claim in (tmp_path / LEASES_FOLDER).rglob("*.json"):
            claim.unlink()
        with pytest.raises(LockedError, match="another build has taken over this run"):
            lease.require_held()


def test_of_many_concurrent_processes_only_one_holds_the_lease(storage: Storage) -> None:
    holding = threading.Semaphore(1)
    came: list[bool] = []

    def come() -> None:
        with hold_lease(storage, "run", within_s=60):
            came.append(holding.acquire(blocking=False))
            time.sleep(0.02)
            holding.release()

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [True] * 6
