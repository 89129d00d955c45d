"""Leases: a lock on a stored run across machines, kept as a claim file in the storage and renewed while it is held.

The algorithm needs only listings that show every earlier write, which S3, Google Cloud Storage and file systems offer;
not all of them offer conditional writes. Each process first writes a claim under a unique name and then lists the
others: of two processes, the one that lists later sees the other's claim and withdraws its own.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from refsav.datasets.run.storage import Storage, StorageError
from refsav.disk.lock import LockedError

LEASES_FOLDER = ".leases/"
RENEWED_EVERY_S = 20.0
ENDS_AFTER_S = 120.0
"""A claim expires if it has not been renewed for this long, by the storage's clock."""
ENDS_WITHIN_S = 5.0
"""How long to wait at the end for a renewal in progress."""
TRIED_FOR_S = 3.0
"""How long to try: two processes that start at the same moment may both withdraw, so each tries again."""


class Lease:
    """A lease that this process holds."""

    def __init__(self, storage: Storage, claim: str) -> None:
        self._storage = storage
        self._claim = claim

    def require_held(self) -> None:
        """Check that the lease is still held: a machine that was suspended for minutes has lost it.

        Raises:
            LockedError: If another process has taken it over.
        """
        if not self._storage.list_files([self._claim]):
            problem = "another build has taken over this run"
            fix = "end one of the two builds, then run the same command again"
            raise LockedError(problem, fix=fix, path=str(self._storage))


@contextmanager
def hold_lease(storage: Storage, name: str, within_s: float = TRIED_FOR_S) -> Iterator[Lease]:
    """Hold a lease for this process alone.

    The lease of a process of this machine that has died is free at once; that of another machine expires some minutes
    after its last renewal.

    Args:
        storage: The storage that all processes share.
        name: The name of the lease: "run", or a bundle.
        within_s: How long to try, in seconds.

    Raises:
        LockedError: If another process holds it; the message names the process and its machine.
        StorageError: If the storage cannot be used.
    """
    claim, ended = _claim(storage, f"{LEASES_FOLDER}{name}/", within_s), threading.Event()
    renewing = threading.Thread(target=_renew, args=(storage, claim, ended), daemon=True)
    renewing.start()
    try:
        yield Lease(storage, claim)
    finally:
        ended.set()
        renewing.join(ENDS_WITHIN_S)
        with suppress(StorageError):  # the claim expires anyway
            storage.remove([claim])


def _claim(storage: Storage, folder: str, within_s: float) -> str:
    end = time.monotonic() + within_s
    while True:
        claim = f"{folder}{uuid4().hex}.json"
        storage.write_json(claim, _holder())
        holder = _other_holder(storage, folder, claim)
        if holder is None:
            return claim
        storage.remove([claim])
        if time.monotonic() >= end:
            problem = f"process {holder['process']} on {holder['host']} is working on this run"
            fix = f"wait until it has ended; if that machine has failed, {ENDS_AFTER_S / 60:.0f} minutes are enough"
            raise LockedError(problem, fix=fix, path=str(storage))
        time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - random, so that two processes do not collide again


def _other_holder(storage: Storage, folder: str, claim: str) -> dict[str, Any] | None:
    """Return the process that holds the lease, if there is one, and remove claims that have expired.

    A claim's name is never reused, so removing an expired claim cannot hit a new one.
    """
    now = storage.modified_at(claim)
    for other in storage.list_files([folder]).keys() - {claim}:
        try:
            holder, renewed = storage.read_json(other), storage.modified_at(other)
        except StorageError:
            if storage.list_files([other]):
                raise
            continue  # released in the meantime
        if now - renewed < timedelta(seconds=ENDS_AFTER_S) and not _has_died(holder):
            return dict(holder)
        storage.remove([other])
    return None


def _renew(storage: Storage, claim: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_EVERY_S):
        with suppress(StorageError):  # the next renewal may succeed
            if not storage.list_files([claim]):
                return  # another process has taken over
            storage.write_json(claim, _holder())


def _holder() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": os.uname().nodename,
        "machine": _machine(),
        "process": process.pid,
        "started": process.create_time(),
    }


def _has_died(holder: dict[str, Any]) -> bool:
    """Return whether the holder is a dead process of this machine; the state of other machines is unknown."""
    if holder["machine"] != _machine():
        return False
    try:
        return bool(abs(psutil.Process(holder["process"]).create_time() - holder["started"]) > 1)
    except psutil.NoSuchProcess:
        return True


def _machine() -> str:
    """Identify the scope in which process ids are unique: one boot of a machine, and one PID namespace (container)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path: "pid:[4026531836]"
    except OSError:
        return os.uname().nodename
