"""All suites by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from refsav.benchmarks.suites.caption_suites import CAPTION_SUITES, open_gcg_suite, open_region_suite
from refsav.benchmarks.suites.image_suites import IMAGE_SUITES, open_image_suite
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.benchmarks.suites.suite import AnySuite
from refsav.benchmarks.suites.video_suites import VIDEO_SUITES, open_video_suite
from refsav.datasets.external.refcoco import RefCocoSet
from refsav.errors import ConfigError

SUITES = (*VIDEO_SUITES, *IMAGE_SUITES, *CAPTION_SUITES)
"""Names of all suites."""


def open_suite(name: str, folder: Path, options: SuiteOptions | None = None) -> AnySuite:
    """Open a suite on a folder of its dataset.

    Raises:
        ConfigError: If there is no such suite, or an option is not one of its.
        RecordError: If the folder is not as the dataset is published; what is missing is named.
        RefSavError: If something that it needs is not installed.
    """
    used = options or SuiteOptions()
    if name not in SUITES:
        raise ConfigError(f"{name}: there is no such suite\n  fix: choose of {', '.join(SUITES)}")
    _refuse_others(name, used)
    if name in VIDEO_SUITES:
        return open_video_suite(name, folder, control=used.control)
    if name in IMAGE_SUITES:
        return open_image_suite(cast(RefCocoSet, name), folder, splits=used.splits, images=used.images)
    if name == "region-captions":
        return open_region_suite(folder, images=used.images, tokenizer=used.tokenizer)
    similarity = None
    if used.bert:
        from refsav.benchmarks.metrics.text_similarity import BertSimilarity  # transformers take seconds to load

        similarity = BertSimilarity.from_folder(used.bert)
    split = name.removeprefix("gcg-")
    return open_gcg_suite(split, folder, images=used.images, similarity=similarity, tokenizer=used.tokenizer)


_TAKES: Mapping[str, frozenset[str]] = {
    **{name: frozenset[str]() if made.for_server else frozenset({"control"}) for name, made in VIDEO_SUITES.items()},
    **dict.fromkeys(IMAGE_SUITES, frozenset({"splits", "images"})),
    "gcg-val": frozenset({"images", "bert", "tokenizer"}),
    "gcg-test": frozenset({"images", "bert", "tokenizer"}),
    "region-captions": frozenset({"images", "tokenizer"}),
}


_OPTIONS = {"splits": "--split", "control": "--shuffled"}
"""Options that are not called as what they set."""


def _refuse_others(name: str, options: SuiteOptions) -> None:
    usual = SuiteOptions()
    given = [field for field in SuiteOptions.__slots__ if getattr(options, field) != getattr(usual, field)]
    for field in given:
        if field not in _TAKES[name]:
            takes = ", ".join(map(_option, sorted(_TAKES[name]))) or "none of its kind"
            raise ConfigError(f"{_option(field)} is not for {name}\n  fix: leave it out; {name} takes {takes}")


def _option(field: str) -> str:
    return _OPTIONS.get(field, f"--{field}")
