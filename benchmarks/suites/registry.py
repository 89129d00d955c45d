"""The benchmark suites that `refsav bench` offers. A new suite is one module and one entry here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from refsav.benchmarks.suites.options import SuiteOptions, flag
from refsav.errors import ConfigError

if TYPE_CHECKING:  # the command line reads the names of the suites: importing them must be fast
    from refsav.benchmarks.suites.suite import AnySuite


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteEntry:
    """Which function opens a suite, and what applies to it."""

    path: str
    """MODULE:FUNCTION. A string, so that a suite's libraries are loaded only if the suite is used."""
    options: frozenset[str] = frozenset()
    """The fields of SuiteOptions that the suite takes; any other that is set is an error."""
    is_video: bool = False
    """Whether rows are those of video_rows.py, so that --predictions and --ablate key-frames apply."""

    def load(self) -> "Callable[[str, Path, SuiteOptions], AnySuite]":
        """Import the function; its arguments are the suite's name, the folder of the dataset and the options."""
        module, _, name = self.path.partition(":")
        function: Callable[[str, Path, SuiteOptions], AnySuite] = getattr(importlib.import_module(module), name)
        return function


_VIDEO = "refsav.benchmarks.suites.video_suites:open_video_suite"
_IMAGE = "refsav.benchmarks.suites.image_suites:open_image_suite"
_GCG = "refsav.benchmarks.suites.caption_suites:open_gcg_suite"
_REGION = "refsav.benchmarks.suites.caption_suites:open_region_suite"

SUITES: dict[str, SuiteEntry] = {
    "ref-sav": SuiteEntry(path=_VIDEO, options=frozenset({"control"}), is_video=True),
    "mevis-val-u": SuiteEntry(path=_VIDEO, options=frozenset({"control"}), is_video=True),
    "mevis-val": SuiteEntry(path=_VIDEO, is_video=True),
    "revos": SuiteEntry(path=_VIDEO, options=frozenset({"control"}), is_video=True),
    "ref-youtube-vos": SuiteEntry(path=_VIDEO, is_video=True),
    "ref-davis17": SuiteEntry(path=_VIDEO, options=frozenset({"control"}), is_video=True),
    "refcoco": SuiteEntry(path=_IMAGE, options=frozenset({"splits", "images"})),
    "refcoco+": SuiteEntry(path=_IMAGE, options=frozenset({"splits", "images"})),
    "refcocog": SuiteEntry(path=_IMAGE, options=frozenset({"splits", "images"})),
    "gcg-val": SuiteEntry(path=_GCG, options=frozenset({"images", "bert", "tokenizer"})),
    "gcg-test": SuiteEntry(path=_GCG, options=frozenset({"images", "bert", "tokenizer"})),
    "region-captions": SuiteEntry(path=_REGION, options=frozenset({"images", "tokenizer"})),
}
"""Entries by the value of `--suite`, in the order of `--help`."""


def open_suite(name: str, folder: Path, options: SuiteOptions | None = None) -> "AnySuite":
    """Open a suite on a folder of its dataset.

    Args:
        name: A key of SUITES.
        folder: The dataset as it is published.
        options: None: the defaults.

    Raises:
        ConfigError: If there is no such suite, or it does not take an option.
        RecordError: If the folder is not as the dataset is published; the message names what is missing.
        RefSavError: If something that the suite needs is not installed.
    """
    if name not in SUITES:
        raise ConfigError(f"{name}: there is no such suite", fix=f"choose one of {', '.join(SUITES)}")
    entry, used = SUITES[name], options or SuiteOptions()
    for field in used.changed():
        if field not in entry.options:
            takes = ", ".join(map(flag, sorted(entry.options))) or "no such option"
            raise ConfigError(f"{flag(field)} is not for {name}", fix=f"leave it out; {name} takes {takes}")
    return entry.load()(name, folder, used)
