"""Join a base multimodal LLM and a SAM-2, as their makers publish them, to a Sa2VA that can be trained.

Source: Sa2VA, section 3.2.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from refsav.model.checkpoints.architecture import Architecture, FixedSizes, read_config
from refsav.model.checkpoints.checkpoint import RELEASED_SAM2, Assets, original_decoder_source, read_sam2
from refsav.model.checkpoints.device_map import Placement, empty
from refsav.model.checkpoints.key_names import KeyMap
from refsav.model.checkpoints.load_state import WeightSource, load_tensors, set_tensor, shapes_of
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.checkpoints.weights import HeldTensors, StoredTensors
from refsav.model.creation.config_json import as_sa2va, is_tied
from refsav.model.creation.create import CONFIG, config_bytes, seeded
from refsav.model.creation.tokenizers import add_tokens, tokenizer_files
from refsav.model.families.registry import supported
from refsav.model.sa2va import Sa2VA
from refsav.model.sam.config import Sam2Config

KEPT = ("preprocessor_config", "video_preprocessor_config", "generation_config", "chat_template", "LICENSE", "NOTICE")
"""Prefixes of the files that are copied from the base model; its code and its model card are not."""

FIX = f"give the directory of a base model in its makers' layout: {supported()}"


def from_base(
    mllm: str | Path,
    sam2: str | Path,
    *,
    allow_pickle: bool = False,
    keep_original_decoder: bool = False,
    sam2_config: Sam2Config | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Sa2VA:
    """Join a base multimodal LLM and a SAM-2.

    Sa2VA's tokens are added to the tokenizer, and the embedding gets exactly one row per token; the rows of new tokens
    are the mean of all others. Only the projection of the `[SEG]` state is random.

    Args:
        mllm: Directory of the base model: config.json, tokenizer, safetensors.
        sam2: SAM-2 checkpoint with Meta's names.
        allow_pickle: Whether the SAM-2 checkpoint may be a .pt file; only tensors are read from it.
        keep_original_decoder: Whether to keep a copy of SAM-2's mask decoder that training does not change.
        sam2_config: Sizes of the SAM-2; by default those of Hiera-L.
        seed: Seed of the random weights.
        device: Device of the weights.
        dtype: Type of the weights; None keeps each tensor's type in its file.

    Raises:
        RecordError: If a file is missing or damaged, or tensors do not fit; the message lists their keys.
    """
    mllm, placement = Path(mllm), Placement(device, dtype)
    base, tokenizer = read_config(mllm, FIX), read_tokenizer(mllm)
    known = len(tokenizer)
    add_tokens(tokenizer)
    raw = as_sa2va(mllm / CONFIG, base, len(tokenizer), FixedSizes(sam2=sam2_config or Sam2Config()))
    architecture = Architecture.of(mllm / CONFIG, raw)
    stored, segmenter = StoredTensors.find(mllm), read_sam2(Path(sam2), allow_pickle=allow_pickle)
    model = empty(lambda: Sa2VA(architecture, original_decoder=keep_original_decoder))

    embedding, head = architecture.entry.embedding, architecture.entry.head
    rows = _rows(known, len(tokenizer))
    tied = is_tied(base) and architecture.base_key_map().official_key(head) not in stored.names
    language = WeightSource(
        tensors=stored,
        keys=architecture.base_key_map(),
        shapes={name: shape for name, shape in _below(model, "mllm.").items() if not (tied and name == head)},
        adapt={embedding: rows, head: rows},
        mismatch=f"its weights are not those of a {architecture.family} as its config.json describes it",
        fix="use config.json and weights of the same model",
    )
    load_tensors(model, [language, *_sam2_sources(model, segmenter)], placement)
    if tied:
        set_tensor(model, head, model.get_parameter(embedding).detach().clone(), placement)
    _draw_projection(model, seed, placement)
    model.to_devices(placement)
    kept = {name: content for name, content in Assets.read(mllm).content.items() if name.startswith(KEPT)}
    return model.attach_tokenizer(tokenizer, Assets({**kept, CONFIG: config_bytes(raw), **tokenizer_files(tokenizer)}))


def _sam2_sources(model: Sa2VA, tensors: HeldTensors) -> list[WeightSource]:
    complete = WeightSource(
        tensors=tensors,
        keys=KeyMap.sam2(),
        shapes=_below(model, "sam2."),
        mismatch="its weights are not those of a SAM 2.0 of this size",
        fix=f"give {RELEASED_SAM2}; SAM 2.1 has different modules",
    )
    if model.original_decoder is None:
        return [complete]
    copies = HeldTensors(tensors.origin, {name: tensor.clone() for name, tensor in tensors.content.items()})
    return [complete, original_decoder_source(copies, shapes_of(model))]  # training changes only the other one


def _below(model: nn.Module, prefix: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes_of(model).items() if name.startswith(prefix)}


def _rows(known: int, wanted: int) -> Callable[[Tensor], Tensor]:
    """Return a function that cuts an embedding [V, H] to `known` rows and appends their mean, up to [`wanted`, H].

    Released embeddings have more rows than the tokenizer has tokens; as these were never trained, new tokens do not use
    them.
    """

    def fit(table: Tensor) -> Tensor:
        kept = table[: min(known, wanted)]
        mean = kept.float().mean(dim=0, keepdim=True).to(table.dtype)
        return torch.cat([kept, mean.expand(wanted - len(kept), -1)])

    return fit


def _draw_projection(model: Sa2VA, seed: int, placement: Placement) -> None:
    device = torch.device(placement.device)
    with seeded(seed, device):
        for layer in model.text_hidden_fcs:
            if isinstance(layer, nn.Linear):
                layer.to_empty(device=device).to(placement.dtype)
                layer.reset_parameters()
