"""How this process requests memory from the system: its size depends on the current work, not on how long it ran."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Options of glibc's mallopt(3)."""

SETTINGS = {
    # With one pool per thread, the default, a build grows by a quarter between 100 and 1,000 objects, all of it unused.
    ARENA_MAX: 2,
    # Images of a megabyte come and go: returning their pages each time costs a fifth of the time that views take.
    MMAP_THRESHOLD: 32 * 2**20,
    TRIM_THRESHOLD: 64 * 2**20,
}


def settle_memory() -> None:
    """Keep few pools of memory, and keep their pages for the next image; call it before threads are started.

    Applies to glibc only; on other systems nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in SETTINGS.items():
        mallopt(option, value)
