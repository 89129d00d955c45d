"""Makes the reduced reference set in this folder out of the whole one.

python tests/data/parity/reduce.py ../shared/data/parity
"""

import gzip
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
FAMILIES = ("internvl", "qwen3vl")
GOLDEN, MANIFEST = "golden.npz", "manifest.json"
UNUSED = ("vocab.json", "merges.txt", "README.md")
"""The tokenizer's content stands in tokenizer.json once more."""

Arrays = Mapping[str, npt.NDArray[Any]]

KEPT: Mapping[str, tuple[slice, ...]] = {
    r".*/low_res_logits": (slice(None), slice(None), slice(None, None, 8), slice(None, None, 8)),
    r".*/mask_logits_orig": (slice(None), slice(None, None, 8), slice(None, None, 8)),
    r".*/hidden_\w+_text": (slice(None, None, 6),),
    r".*/(image_features|deepstack\d)_sub": (slice(None, None, 6),),
    r".*/pixel_values_sub": (slice(None, None, 3),),
    r".*/(fpn\d|memory)_frame0_sub": (slice(None), slice(None, None, 4), slice(None, None, 4)),
    r".*/sam_pixels_frame0_stride32": (slice(None), slice(None, None, 4), slice(None, None, 4)),
    r".*/memory_attention_\d_sub": (slice(None, None, 2), slice(None, None, 2)),
}
"""Which part of an array is kept, by its name; of all others the whole."""


def reduced(key: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The part of an array that the reduced set keeps."""
    return next((array[part] for pattern, part in KEPT.items() if re.fullmatch(pattern, key)), array)


def read_golden(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a family."""
    with np.load(folder / GOLDEN) as arrays:
        return {key: arrays[key] for key in arrays.files}


def read_manifest(folder: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every tensor of a family's checkpoint, by its official name."""
    path = folder / MANIFEST
    text = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{MANIFEST}.gz").read_bytes())
    return {key: (tuple(shape), dtype) for key, (shape, dtype) in json.loads(text).items()}


def reduce(whole: Path, family: str) -> None:
    """Write a family's folder."""
    source, target = whole / family, HERE / family
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.suffix in (".json", ".jinja") and path.name not in (MANIFEST, *UNUSED) and "golden" not in path.name:
            (target / path.name).write_bytes(path.read_bytes())
    manifest = json.dumps(json.loads((source / MANIFEST).read_text()), separators=(",", ":"))
    (target / f"{MANIFEST}.gz").write_bytes(gzip.compress(manifest.encode(), mtime=0))
    np.savez_compressed(target / GOLDEN, **{key: reduced(key, array) for key, array in read_golden(source).items()})


if __name__ == "__main__":
    for family in FAMILIES:
        reduce(Path(sys.argv[1]), family)
