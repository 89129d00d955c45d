"""The checkpoints that the official code was run with at small language size: weights from names, inputs, outputs.

Weights are drawn from nothing but the key and shape of each tensor, and inputs from formulas, so that both can be made
anywhere; what the official code made of them is kept (tests/data/parity/README.md).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.device_map import empty
from refsav.model.checkpoints.key_names import has_two_decoders
from refsav.model.sa2va import Sa2VA
from tests.data.parity.reduce import MANIFEST, read_golden, read_manifest, reduced

FAMILIES = ("qwen3vl", "internvl")
SAM2 = "grounding_encoder.sam2_model."

POCKET = {
    "image_size": 128,
    "embed_dim": 24,
    "num_heads": 1,
    "stages": [1, 1, 2, 1],
    "global_att_blocks": [3],
    "window_spec": [8, 4, 8, 4],
    "d_model": 64,
    "mem_dim": 16,
    "memory_layers": 2,
    "memory_feedforward": 64,
}
"""A SAM-2 of 1.8 million weights, for all that is not about its size."""

# ---- outputs ----


@dataclass(frozen=True)
class Reference:
    """One family: the official checkpoint's files without the weights, and what the official code computed."""

    family: str
    folder: Path
    is_reduced: bool
    manifest: Mapping[str, tuple[tuple[int, ...], str]]
    golden: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def read(cls, folder: Path) -> "Reference":
        is_reduced = not (folder / MANIFEST).exists()
        return cls(folder.name, folder, is_reduced, read_manifest(folder), read_golden(folder))

    def both(self, key: str, ours: Tensor | npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """What we and the official code have, as far as the latter is kept."""
        array = np.asarray(ours)
        kept = reduced(key, array) if self.is_reduced else array
        theirs = self.golden[key]
        assert kept.shape == theirs.shape, f"{key}: {kept.shape}, the official code has {theirs.shape}"
        return kept, theirs

    def difference(self, key: str, ours: Tensor | npt.NDArray[Any]) -> float:
        """Largest absolute difference to the official code's output."""
        kept, theirs = self.both(key, ours)
        largest = float(np.abs(kept.astype(np.float64) - theirs.astype(np.float64)).max())
        print(f"{self.family} {key}: {largest:.1e}")
        return largest


# ---- weights ----

LAYER_SCALES = {"g_weight", "gamma", "ls1", "ls2"}
SHARPENED = {"q_norm", "k_norm", "q_proj", "k_proj"}


def weight(key: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of an official name: bfloat16, so that it is the same model in float32 too.

    A normal draw seeded by the name. Matrices are scaled by their inputs, as trained ones roughly are; gains make
    attention, memory and text matter, so that a mistake in one of them shows in the masks.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    drawn = np.random.RandomState(seed).standard_normal(shape)
    middle, spread = _middle_and_spread(key, shape)
    return torch.from_numpy(np.asarray(middle + spread * drawn, dtype=np.float32)).bfloat16()


def _middle_and_spread(key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    *_, parent, leaf = ("", *key.split("."))
    if leaf == "positional_encoding_gaussian_matrix":
        return 0.0, 1.0
    if leaf in LAYER_SCALES:
        return 1.0, 0.02
    if leaf == "bias":
        return (1.0 if "pred_obj_score_head.layers.2" in key else 0.0), 0.02  # objects count as visible
    if leaf != "weight":
        return 0.0, 0.1
    if len(shape) == 1:
        return (2.0 if parent in SHARPENED else 1.0), 0.02
    if len(shape) == 2 and ("embed" in parent or "token" in parent):
        return 0.0, 0.5
    return 0.0, _gain(key, parent) / math.sqrt(math.prod(shape[1:]))


def _gain(key: str, parent: str) -> float:
    if key.endswith("memory_encoder.out_proj.weight"):
        return 0.1
    if key.endswith("obj_ptr_proj.layers.2.weight") or key == "text_hidden_fcs.2.weight":
        return 4.0
    in_language = parent in SHARPENED and not key.startswith("grounding_encoder.")
    reads_memory = ".cross_attn_image." in key and parent != "out_proj"
    return 2.0 ** (in_language + reads_memory)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(shapes, pool.map(weight, shapes, shapes.values()), strict=True))


# ---- checkpoints ----

OWN_FILE, SAM2_FILE = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def write_checkpoint(reference: Reference, directory: Path, sam2_file: Path) -> None:
    """Write an official directory in two shards; SAM-2's is made at `sam2_file` if it is not there, and linked.

    SAM-2 is the same in all families, since its weights come from its names.
    """
    shapes = {key: shape for key, (shape, _) in reference.manifest.items()}
    shared = {key: shape for key, shape in shapes.items() if key.startswith(SAM2)}
    if not sam2_file.exists():
        save_file(weights(shared), sam2_file)
    directory.mkdir()
    _copy_small_files(reference.folder, directory)
    (directory / SAM2_FILE).symlink_to(sam2_file)
    save_file(weights({key: shape for key, shape in shapes.items() if key not in shared}), directory / OWN_FILE)
    places = {key: SAM2_FILE if key in shared else OWN_FILE for key in shapes}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def write_pocket_checkpoint(reference: Reference, directory: Path, *, two_decoders: bool = False) -> None:
    """Write an official directory with the reference's language model and a pocket SAM-2, in one file.

    Args:
        reference: Its small files are taken.
        directory: Made.
        two_decoders: Whether SAM-2's original mask decoder exists next to the fine-tuned one, as in Sa2VA-i.
    """
    directory.mkdir()
    _copy_small_files(reference.folder, directory)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["refsav"] = {"sam2": POCKET}
    path.write_text(json.dumps(config, indent=2))
    architecture = Architecture.read(directory)
    model = empty(lambda: Sa2VA(architecture, original_decoder=two_decoders))
    state = {name: tensor.to("meta") for name, tensor in model.state_dict().items()}
    keys = architecture.key_map(two_decoders=has_two_decoders(state))
    save_file(
        weights({key: tuple(tensor.shape) for key, tensor in keys.outward(state)}), directory / "model.safetensors"
    )


def _copy_small_files(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.suffix in (".json", ".jinja") and "golden" not in path.name and path.name != MANIFEST:
            (target / path.name).write_bytes(path.read_bytes())


# ---- inputs ----

HEIGHT, WIDTH, FRAMES = 96, 128, 8
SQUARE_PX = 28


@dataclass(frozen=True)
class Case:
    """What was asked, and the answer that the official code was made to give."""

    kind: Literal["image", "video"]
    text: str
    answer: str
    regions: tuple[Mask, ...] = ()

    @property
    def frames(self) -> list[Image]:
        return video() if self.kind == "video" else [image()]


def frame(number: int) -> Image:
    """Colours that change over the picture, noise that stays, a bright square that moves right and down."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    across, down = WIDTH - 1, HEIGHT - 1
    ground = np.stack([40 + 90 * x // across, 30 + 100 * y // down, 60 + 60 * (x + y) // (across + down)], axis=-1)
    noise = np.random.RandomState(7).randint(-12, 13, size=ground.shape)
    square = square_mask(number)[..., None]
    return np.clip(np.where(square, [240, 225, 90], ground) + noise, 0, 255).astype(np.uint8)


def square_mask(number: int) -> Mask:
    """Where the square is in a frame."""
    found = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    left, top = 10 + 11 * number, 12 + 6 * number
    found[top : top + SQUARE_PX, left : left + SQUARE_PX] = True
    return found


def image() -> Image:
    return frame(2)


def video() -> list[Image]:
    return [frame(number) for number in range(FRAMES)]


def sam_only_embedding() -> Tensor:
    """[1, 256], in place of a projected `[SEG]` state where SAM-2 is looked at alone."""
    drawn = np.random.RandomState(123).standard_normal((1, 256))
    return torch.from_numpy(np.asarray(0.5 * drawn, dtype=np.float32))


CASES = {
    "image_a": Case("image", "<image>\nPlease segment the bright square in this image.", "Sure, [SEG]."),
    "image_b": Case("image", "<image>\nCan you segment the dark ground in this image?", "Sure, [SEG]."),
    "image_gcg": Case(
        "image",
        "<image>\nPlease describe in detail the contents of the image. Please respond with interleaved segmentation "
        "masks for the corresponding parts of the answer.",
        "<p> A bright square </p> [SEG] above <p> the ground </p> [SEG].",
    ),
    "video_a": Case("video", "<image>\nPlease segment the bright square in this video.", "Sure, it is [SEG]."),
    "image_vp": Case(
        "image", "<image>\nPlease segment region1.", "Sure, it is [SEG].", (square_mask(2), ~square_mask(2))
    ),
}


def cases() -> list[tuple[str, str]]:
    """Every family with every case of it: only InternVL takes regions."""
    return [(family, name) for family in FAMILIES for name in CASES if name != "image_vp" or family == "internvl"]
