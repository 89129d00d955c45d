"""Small models for suites: each says the same sentence to anything, and draws masks of whatever it sees."""

import os
from pathlib import Path

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when Hugging Face's libraries are imported
torch.set_num_threads(1)  # what these tests compute is too small to share out

from tests.support.models.speaking import write_speaking  # noqa: E402 - this imports Hugging Face's


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-VL's family."""
    return write_speaking(tmp_path_factory.mktemp("speaking") / "pocket")


@pytest.fixture(scope="session")
def intern_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InternVL's family, which knows regions."""
    return write_speaking(tmp_path_factory.mktemp("speaking") / "pocket-internvl", "pocket-internvl")
