"""The model that a training starts from: created or loaded, with a digest that detects replacement."""

import copy
import hashlib
from pathlib import Path

import torch

from refsav.model.checkpoints.architecture import CHECKPOINT_FIX, read_config
from refsav.model.checkpoints.checkpoint import checkpoint_digest
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import InitialModelConfig, TrainConfig


def open_initial_model(config: TrainConfig, device: torch.device) -> Sa2VA:
    """Create or load the initial model. If its mask decoder is going to learn, keep a copy of the original one.

    Args:
        config: `model.origin` is a checkpoint, or a TOML file of sizes for a model with random weights.
        device: Where its weights go.

    Raises:
        ConfigError: If the file of sizes cannot be used.
        RecordError: If the checkpoint cannot be read.
    """
    origin = Path(config.model.origin)
    if origin.is_file():
        sizes = ModelConfig.from_toml(origin)
        return create(sizes, usual_tokenizer(sizes), config.model.seed).to(device)
    model = Sa2VA.from_pretrained(origin, device=device, attention=config.model.attention)
    learns = config.learns.mask_decoder == "full"
    if learns and config.model.keep_original_decoder and model.original_decoder is None:
        model.original_decoder = copy.deepcopy(model.sam2.sam_mask_decoder)
    return model


def digest_of_initial_model(config: InitialModelConfig) -> str:
    """SHA-256 of the initial model: of its sizes, or of all files of a checkpoint. Raises as `open_initial_model`."""
    origin = Path(config.origin)
    if origin.is_file():
        return hashlib.sha256(ModelConfig.from_toml(origin).model_dump_json().encode()).hexdigest()
    read_config(origin, CHECKPOINT_FIX)
    return checkpoint_digest(origin)
