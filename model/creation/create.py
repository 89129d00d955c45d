"""A Sa2VA from nothing: random weights of any size, begun so that it can learn."""

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
from refsav.model.creation.model_sizes import Beginning, ModelConfig
from refsav.model.creation.tokenizers import tokenizer_files, train_tokenizer, usual_texts
from refsav.model.families.mllm import Tokenizer
from refsav.model.sa2va import Sa2VA

CONFIG = "config.json"


def create(config: ModelConfig, tokenizer: Tokenizer, seed: int = 0, *, device: str | torch.device = "cpu") -> Sa2VA:
    """Make a model with random weights. Same sizes, seed and kind of device: same weights.

    Args:
        config: Its sizes.
        tokenizer: With Sa2VA's tokens, as `train_tokenizer` makes it.
        seed: Of the weights.
        device: Where they are made and stay; the largest sizes fit no memory but a GPU's.

    Raises:
        InputError: If the tokenizer does not fit.
    """
    raw = official_config(config, tokenizer)
    architecture = Architecture.of(Path(CONFIG), raw)
    with seeded(seed, torch.device(device)), _weights_as(TYPES[config.dtype]), torch.device(device):
        model = Sa2VA(architecture, original_decoder=False)
        _begin(model, config.begin)
    if torch.device(device).type == "cpu":
        model.sam2.float()  # as Placement has it
    return model.attach_tokenizer(tokenizer, Assets({CONFIG: config_bytes(raw), **tokenizer_files(tokenizer)}))


def usual_tokenizer(config: ModelConfig) -> Tokenizer:
    """The tokenizer for a model from nothing, made of words about synthetic scenes."""
    return train_tokenizer(usual_texts(), config.tokenizer_size, template=template_of(config))


def parameters_by_part(model: Sa2VA) -> dict[str, int]:
    """Count the parameters of each part that a Sa2VA is made of."""
    parts = {
        **dict.fromkeys(model.architecture.entry.vision_parts, "vision tower"),
        "mllm.": "language model",
        "text_hidden_fcs.": "[SEG] projection",
        "sam2.": "SAM-2",
        "original_decoder.": "original mask decoder",
    }
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = next(part for start, part in parts.items() if name.startswith(start))
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def config_bytes(raw: dict[str, object]) -> bytes:
    """The content of a config.json file."""
    return (json.dumps(raw, indent=2, sort_keys=True) + "\n").encode()


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw random numbers from a seed, and go on afterwards as if none had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _weights_as(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def _begin(model: Sa2VA, begin: Beginning) -> None:
    """Set what the libraries' own first values are no good for; why, `Beginning` says."""
    last = [layer for layer in model.text_hidden_fcs if isinstance(layer, nn.Linear)][-1]
    last.weight.mul_(begin.prompt_gain)
    decoder = model.sam2.sam_mask_decoder
    for layer in decoder.output_hypernetworks_mlps.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(begin.mask_gain)
    score = decoder.pred_obj_score_head.layers[-1]
    score.weight.zero_()
    score.bias.fill_(begin.visible_logit)
