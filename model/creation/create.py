"""Create a Sa2VA of any size with random weights, initialized so that it can be trained from scratch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.checkpoint import Assets
from refsav.model.checkpoints.device_map import TYPES
from refsav.model.creation.config_json import official_config, template_of
from refsav.model.creation.model_sizes import Initialization, ModelConfig
from refsav.model.creation.tokenizers import tokenizer_files, train_tokenizer, usual_texts
from refsav.model.families.mllm import Tokenizer
from refsav.model.sa2va import Sa2VA

CONFIG = "config.json"


def create(config: ModelConfig, tokenizer: Tokenizer, seed: int = 0, *, device: str | torch.device = "cpu") -> Sa2VA:
    """Create a model with random weights. The same sizes, seed and kind of device give the same weights.

    Args:
        config: Sizes of the model.
        tokenizer: Has Sa2VA's tokens, as from `train_tokenizer`.
        seed: Seed of the weights.
        device: Device of the weights; the largest sizes need a GPU's memory.

    Raises:
        InputError: If the tokenizer has more tokens than the embedding has rows.
    """
    raw = official_config(config, tokenizer)
    architecture = Architecture.of(Path(CONFIG), raw)
    with seeded(seed, torch.device(device)), _default_dtype(TYPES[config.dtype]), torch.device(device):
        model = Sa2VA(architecture, original_decoder=False)
        _initialize(model, config.begin)
    if torch.device(device).type == "cpu":
        model.sam2.float()  # as in Placement.dtype_of
    return model.attach_tokenizer(tokenizer, Assets({CONFIG: config_bytes(raw), **tokenizer_files(tokenizer)}))


def usual_tokenizer(config: ModelConfig) -> Tokenizer:
    """Train the default tokenizer of a new model, on texts about synthetic scenes."""
    return train_tokenizer(usual_texts(), config.tokenizer_size, template=template_of(config))


def parameters_by_part(model: Sa2VA) -> dict[str, int]:
    """Count the parameters of each module of a Sa2VA."""
    modules = {
        **dict.fromkeys(model.architecture.entry.vision_parts, "vision tower"),
        "mllm.": "language model",
        "text_hidden_fcs.": "[SEG] projection",
        "sam2.": "SAM-2",
        "original_decoder.": "original mask decoder",
    }
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        module = next(module for prefix, module in modules.items() if name.startswith(prefix))
        counts[module] = counts.get(module, 0) + parameter.numel()
    return counts


def config_bytes(raw: dict[str, object]) -> bytes:
    """Return the content of a config.json file."""
    return (json.dumps(raw, indent=2, sort_keys=True) + "\n").encode()


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw random numbers from a seed, then restore the state of the random number generators."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def _initialize(model: Sa2VA, begin: Initialization) -> None:
    """Replace initial values of the libraries that prevent learning; `Initialization` has the reasons."""
    last = [layer for layer in model.text_hidden_fcs if isinstance(layer, nn.Linear)][-1]
    last.weight.mul_(begin.prompt_gain)
    decoder = model.sam2.sam_mask_decoder
    for layer in decoder.output_hypernetworks_mlps.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(begin.mask_gain)
    score = decoder.pred_obj_score_head.layers[-1]
    score.weight.zero_()
    score.bias.fill_(begin.visible_logit)
