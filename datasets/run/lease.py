"""One builder per stored run, wherever builders run: a claim in the storage, renewed while it is held.

It asks no more of a storage than that what was written is listed from then on, which S3, Google's and every file
system promise; writes on condition are not offered by all. Everybody writes a claim of his own name first and looks for
others then: of two, the later one to look sees the other's, and withdraws.
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

FOLDER = ".leases/"
RENEWED_EVERY_S = 20.0
ENDS_AFTER_S = 120.0
"""A claim that was not renewed for so long is taken for dead, by the storage's clock."""
ENDS_WITHIN_S = 5.0
"""How long a renewal that is under way is waited for."""
TRIED_FOR_S = 3.0
"""Two that come at the same moment may both withdraw, so they try again for a while."""


class Lease:
    """What is held."""

    def __init__(self, storage: Storage, claim: str) -> None:
        self._storage = storage
        self._claim = claim

    def require(self) -> None:
        """Make sure that it is still held; a machine that slept for minutes has lost it. Raises LockedError."""
        if not self._storage.listed([self._claim]):
            fix = "end one of the two builds, then run the same command again"
            raise LockedError(f"{self._storage}: another build has taken this run over\n  fix: {fix}")


@contextmanager
def leased(storage: Storage, what: str, within_s: float = TRIED_FOR_S) -> Iterator[Lease]:
    """Hold something in a storage for this process alone.

    What a process of this machine held that is gone is free at once; what another machine holds, some minutes after
    its last sign of life.

    Args:
        storage: Where.
        what: Name of what is held.
        within_s: How long to try.

    Raises:
        LockedError: If another process holds it; the message names it.
        StorageError: If the storage cannot be used.
    """
    claim, ended = _claim(storage, f"{FOLDER}{what}/", within_s), threading.Event()
    renewing = threading.Thread(target=_renew, args=(storage, claim, ended), daemon=True)
    renewing.start()
    try:
        yield Lease(storage, claim)
    finally:
        ended.set()
        renewing.join(ENDS_WITHIN_S)
        with suppress(StorageError):  # it ends by itself
            storage.remove([claim])


def _claim(storage: Storage, folder: str, within_s: float) -> str:
    end = time.monotonic() + within_s
    while True:
        claim = f"{folder}{uuid4().hex}.json"
        storage.write(claim, _holder())
        holder = _other_holder(storage, folder, claim)
        if holder is None:
            return claim
        storage.remove([claim])
        if time.monotonic() >= end:
            fix = f"wait until it has ended; if that machine is gone, {ENDS_AFTER_S / 60:.0f} minutes are enough"
            told = f"process {holder['process']} on {holder['host']}"
            raise LockedError(f"{storage}: {told} is working on this run\n  fix: {fix}")
        time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - so that two do not meet again


def _other_holder(storage: Storage, folder: str, claim: str) -> dict[str, Any] | None:
    """Who else lives; claims of the dead are removed: a claim's name is never used again, so none is hit by mistake."""
    now = storage.written_at(claim)
    for other in storage.listed([folder]).keys() - {claim}:
        try:
            holder, renewed = storage.read(other), storage.written_at(other)
        except StorageError:
            if storage.listed([other]):
                raise
            continue  # given back meanwhile
        if now - renewed < timedelta(seconds=ENDS_AFTER_S) and not _has_died(holder):
            return dict(holder)
        storage.remove([other])
    return None


def _renew(storage: Storage, claim: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_EVERY_S):
        with suppress(StorageError):  # the next time
            if not storage.listed([claim]):
                return  # taken over
            storage.write(claim, _holder())


def _holder() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": os.uname().nodename,
        "machine": _machine(),
        "process": process.pid,
        "started": process.create_time(),
    }


def _has_died(holder: dict[str, Any]) -> bool:
    """True for a process of this machine that runs no more; of other machines nothing is known."""
    if holder["machine"] != _machine():
        return False
    try:
        return bool(abs(psutil.Process(holder["process"]).create_time() - holder["started"]) > 1)
    except psutil.NoSuchProcess:
        return True


def _machine() -> str:
    """Where process ids mean the same: a start of a machine and, in a container, its own numbering."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: "pid:[4026531836]"
    except OSError:
        return os.uname().nodename
