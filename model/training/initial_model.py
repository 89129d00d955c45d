"""The model that a training begins with: made or read, and told from another one that lies at the same place."""

import copy
import hashlib
from pathlib import Path

import torch

from refsav.model.checkpoints.architecture import CHECKPOINT_FIX, read_config
from refsav.model.checkpoints.checkpoint import checkpoint_digest
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import OriginConfig, TrainConfig


def open_origin(config: TrainConfig, device: torch.device) -> Sa2VA:
    """Make or read the model to begin with; where its mask decoder is going to learn, it is kept aside as it is.

    Raises:
        ConfigError: If it is a file of sizes that cannot be used.
        RecordError: If it is a checkpoint that cannot be read.
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


def digest_of_origin(config: OriginConfig) -> str:
    """SHA-256 of the model to begin with: of its sizes, or of all files of a checkpoint. Raises as `open_origin`."""
    origin = Path(config.origin)
    if origin.is_file():
        return hashlib.sha256(ModelConfig.from_toml(origin).model_dump_json().encode()).hexdigest()
    read_config(origin, CHECKPOINT_FIX)
    return checkpoint_digest(origin)
