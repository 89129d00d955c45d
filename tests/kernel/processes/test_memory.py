"""Memory settings: they keep freed pages for the next image, and change nothing where glibc is not there."""

import ctypes
import subprocess
import sys

import pytest

from refsav.processes.memory import settle_memory

CHURN = """
import resource, sys
from refsav.processes.memory import settle_memory
if sys.argv[1] == "settled":
    settle_memory()
def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        blocks = [bytes(1 << 20) for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
churn()
print(churn())
"""


def page_faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", CHURN, how], check=True, capture_output=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="asks glibc")
def test_pages_are_kept_for_the_next_image() -> None:
    assert page_faults("settled") < page_faults("as it is") / 10


def test_a_system_without_glibc_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    settle_memory()
