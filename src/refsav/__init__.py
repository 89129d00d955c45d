"""RefSAV: the data engine and the training loop of Sa2VA (arXiv 2501.04001).

The names in `__all__` are the public API (docs/python-api.md). Each is loaded on first use, so importing `refsav` is
fast and needs neither torch nor Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refsav.api.benchmark import register_with_vlmevalkit, run_benchmark, score_captions, score_j_and_f
    from refsav.api.build import build
    from refsav.api.config import BuildConfig, InferenceSettings
    from refsav.api.masks import decode_mask, encode_mask
    from refsav.api.model import Sa2VA, open_clip
    from refsav.api.run import Run, open_run
    from refsav.api.sav import read_sav
    from refsav.api.shards import read_shards
    from refsav.api.training_data import open_training_data
    from refsav.errors import RefSavError

__version__ = "0.1.0"

__all__ = [
    "BuildConfig",
    "InferenceSettings",
    "RefSavError",
    "Run",
    "Sa2VA",
    "__version__",
    "build",
    "decode_mask",
    "encode_mask",
    "open_clip",
    "open_run",
    "open_training_data",
    "read_sav",
    "read_shards",
    "register_with_vlmevalkit",
    "run_benchmark",
    "score_captions",
    "score_j_and_f",
]

_MODULES = {
    "refsav.api.benchmark": ("register_with_vlmevalkit", "run_benchmark", "score_captions", "score_j_and_f"),
    "refsav.api.build": ("build",),
    "refsav.api.config": ("BuildConfig", "InferenceSettings"),
    "refsav.api.masks": ("decode_mask", "encode_mask"),
    "refsav.api.model": ("Sa2VA", "open_clip"),
    "refsav.api.run": ("Run", "open_run"),
    "refsav.api.sav": ("read_sav",),
    "refsav.api.shards": ("read_shards",),
    "refsav.api.training_data": ("open_training_data",),
    "refsav.errors": ("RefSavError",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name on first use. Raises MissingExtraError if it needs an extra that is not installed."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
