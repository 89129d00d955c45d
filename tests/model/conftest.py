"""Checkpoints for tests: the reference models of the official code, beside the project or reduced, and pocket ones."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from shutil import rmtree

import pytest
import torch
from torch import nn

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when Hugging Face's libraries are imported
torch.set_num_threads(1)  # what these tests compute is too small to share out

from refsav.datasets.frames import Image  # noqa: E402 - these import Hugging Face's
from refsav.model.sa2va import Sa2VA  # noqa: E402
from refsav.model.sam.grounding import FrameFeatures, Sam2  # noqa: E402
from tests.support.models.reference import FAMILIES, Reference, video, write_checkpoint, write_pocket_checkpoint  # noqa: E402

REDUCED = Path(__file__).parents[1] / "data/parity"

CORES = max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
"""Of this worker. Two virtual cores are often one real one, and two threads that multiply on it halve its speed."""

OfFamily = Callable[[str], Path]


def _whole_set() -> Path:
    default = Path(__file__).parents[2] / "../shared/data/parity"
    return Path(os.environ.get("REFSAV_PARITY_DATA", default)).resolve()


@pytest.fixture(scope="session")
def parity_data() -> Path:
    """A folder for each family, of Sa2VA's official code: $REFSAV_PARITY_DATA, or ../shared/data/parity beside us."""
    folder = _whole_set()
    if not folder.is_dir():
        message = f"{folder} is missing: set REFSAV_PARITY_DATA to the official code's outputs (CONTRIBUTING.md)"
        if os.environ.get("REFSAV_REAL_VIDEOS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def references() -> dict[str, Reference]:
    """What the official code computed, by family: all of it where it lies beside us, else a part."""
    folder = _whole_set()
    return {family: Reference.read((folder if folder.is_dir() else REDUCED) / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def checkpoints(references: dict[str, Reference], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfFamily]:
    """The checkpoint that the official code was run with, full-size SAM-2 in it; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("reference")

    @cache
    def made(family: str) -> Path:
        write_checkpoint(references[family], folder / family, folder / "sam2.safetensors")
        return folder / family

    yield made
    rmtree(folder)  # 450 MB, which pytest would keep for three runs


@pytest.fixture(scope="session")
def pocket_checkpoints(references: dict[str, Reference], tmp_path_factory: pytest.TempPathFactory) -> OfFamily:
    """The same language models with a pocket SAM-2; not to be written to."""
    folder = tmp_path_factory.mktemp("pocket")

    @cache
    def made(family: str) -> Path:
        write_pocket_checkpoint(references[family], folder / family)
        return folder / family

    return made


@pytest.fixture(scope="module")  # 1.7 GB, which later tests need not carry along
def reference_models(checkpoints: OfFamily) -> Callable[[str], Sa2VA]:
    """The reference models. They share one SAM-2, and what its encoder made of each frame is kept.

    SAM-2's weights are the same in both (they come from its names), and its image encoder is a function of the frame
    alone, by far the slowest part: 13 to 23 s of a core for a frame. So the eight frames that there are, the image
    among them, are encoded once instead of thirty-five, and nothing that is compared depends on it.
    """
    shared: list[Sam2] = []

    @cache
    def loaded(family: str) -> Sa2VA:
        model = Sa2VA.from_pretrained(checkpoints(family), device="cpu")
        if shared:
            model.sam2 = shared[0]
            return model
        _let_onednn_multiply(model.sam2.image_encoder)
        encoded = cache(partial(_encoded, model.sam2.encode))
        model.sam2.encode = lambda frame: encoded()[frame.tobytes()]
        shared.append(model.sam2)
        return model

    return loaded


def _encoded(encode: Callable[[Image], FrameFeatures]) -> dict[bytes, FrameFeatures]:
    """All frames of the reference, one a core: cores that share a frame wait for one another."""

    @torch.inference_mode()
    def alone(frame: Image) -> FrameFeatures:
        torch.set_num_threads(1)
        return encode(frame)

    frames, before = video(), torch.get_num_threads()
    with ThreadPoolExecutor(CORES) as pool:
        found = list(pool.map(alone, frames))
    torch.set_num_threads(before)
    return {frame.tobytes(): features for frame, features in zip(frames, found, strict=True)}


def _let_onednn_multiply(module: nn.Module) -> None:
    """Run linear layers by oneDNN: equal to 3e-5, nearly twice as fast as MKL on processors that are not Intel's."""
    multiply = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    for layer in module.modules() if multiply else ():
        if isinstance(layer, nn.Linear):
            layer.forward = lambda x, layer=layer: multiply(x.contiguous(), layer.weight, layer.bias, "none", [], "")


@pytest.fixture(scope="session")
def pocket_models(pocket_checkpoints: OfFamily) -> Callable[[str], Sa2VA]:
    """The pocket models; not to be changed."""
    return cache(lambda family: Sa2VA.from_pretrained(pocket_checkpoints(family), device="cpu"))


@pytest.fixture
def all_cores() -> Iterator[None]:
    """For what is large enough to be shared out among this worker's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)
