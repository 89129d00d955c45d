"""Set up what learns: parts are trained or frozen, LoRA is added to the language model and merged after training."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from refsav.model.creation.create import seeded
from refsav.model.families.family import Family
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearnsConfig, LoraConfig

PART_OF: Mapping[str, str] = {
    "text_hidden_fcs.": "seg_projection",
    "sam2.image_encoder.": "image_encoder",
    "sam2.sam_prompt_encoder.": "prompt_encoder",
    "sam2.no_mem_embed": "prompt_encoder",
    "sam2.sam_mask_decoder.iou_prediction_head.": "",
    "sam2.sam_mask_decoder.pred_obj_score_head.": "",
    "sam2.sam_mask_decoder.": "mask_decoder",
}
"""Part of a weight outside of the multimodal LLM by the beginning of its name, the first that fits. The family's entry
has the parts inside. No loss reaches the others: SAM-2's memory, its predicted mask quality and object score."""

NEVER_USED = ("sam2.sam_prompt_encoder.point_embeddings.", "sam2.sam_prompt_encoder.mask_downscaling.")
"""Prompts of other kinds than a language embedding: beginnings of names."""

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "gate_proj", "up_proj", "down_proj", "gate_up_proj")
"""Linear layers of a decoder layer, as transformers' models of all families name them."""

ADAPTER = "default"
BASE, FIRST, SECOND = ".base_layer.weight", f".lora_A.{ADAPTER}.weight", f".lora_B.{ADAPTER}.weight"


def part_of(name: str, family: Family) -> str:
    """Name the part that a weight belongs to; empty if it never learns."""
    if name.startswith("mllm."):
        return family.part_of(name)
    if name.startswith(NEVER_USED):
        return ""
    return next((part for start, part in PART_OF.items() if name.startswith(start)), "")


def freeze_and_add_lora(model: Sa2VA, learns: LearnsConfig, lora: LoraConfig, seed: int) -> None:
    """Freeze the parts that do not learn, and add LoRA adapters to the language model if `learns` says so.

    Trainable weights are converted to float32: the updates of a step are too small for bfloat16. The same seed gives
    the same adapters: all devices must start from the same weights.

    Args:
        model: The model; it is changed.
        learns: Which parts are trained.
        lora: Rank, scale and dropout of the adapters.
        seed: Of the adapters' initial weights.
    """
    if learns.language_model == "lora":
        with seeded(seed, model.adapter.device):
            _add_adapters(model.adapter.language_model, lora)
    how, family = learns.model_dump(), model.architecture.entry
    for name, weight in model.named_parameters():  # peft freezes everything but the adapters
        weight.requires_grad_(name.endswith((FIRST, SECOND)) or how.get(part_of(name, family)) == "full")
        if weight.requires_grad:
            weight.data = weight.data.float()


def _add_adapters(language_model: Any, lora: LoraConfig) -> None:  # noqa: ANN401 - transformers' models
    from peft import LoraConfig as Settings
    from peft import inject_adapter_in_model

    known = {name.rpartition(".")[2] for name, part in language_model.named_modules() if isinstance(part, nn.Linear)}
    settings = Settings(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=sorted(known.intersection(LINEAR)),
        bias="none",
    )
    inject_adapter_in_model(settings, language_model, adapter_name=ADAPTER)


def with_lora_merged(state: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Merge the adapters into the weights, and name these as in a model without adapters.

    Args:
        state: The weights, from `state_dict`.
        scale: alpha / rank (LoRA, section 4.1).
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(BASE):
            layer = name.removesuffix(BASE)
            change = scale * state[layer + SECOND].float() @ state[layer + FIRST].float()
            plain[f"{layer}.weight"] = (tensor.float() + change).to(tensor.dtype)
        elif not name.endswith((FIRST, SECOND)):
            plain[name.replace(".base_layer.", ".")] = tensor
    return plain
