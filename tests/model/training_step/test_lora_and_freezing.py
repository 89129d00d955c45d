"""What learns is what was asked for, with adapters as without, in every family."""

import pytest

from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearnsConfig, LoraConfig
from refsav.model.training_step.lora_and_freezing import freeze_and_add_lora, part_of
from tests.support.data.training_data import WHOLE, pocket

FAMILIES = ("pocket", "pocket-qwen25", "pocket-internvl")


def parts_that_learn(model: Sa2VA, learns: LearnsConfig) -> dict[str, set[bool]]:
    """Part → whether its weights that learn are adapters."""
    freeze_and_add_lora(model, learns, LoraConfig(rank=4, alpha=8), seed=0)
    found: dict[str, set[bool]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            found.setdefault(part_of(name, model.architecture.entry), set()).add("lora_" in name)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("learns", [LearnsConfig(), LearnsConfig(embeddings="frozen"), WHOLE])
def test_the_parts_that_are_named_learn_and_no_others(family: str, learns: LearnsConfig) -> None:
    asked = {part: {how == "lora"} for part, how in learns.model_dump().items() if how != "frozen"}
    assert parts_that_learn(pocket(family), learns) == asked


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_learn_on_both_sides_next_to_adapters(tied: bool) -> None:
    model = pocket()
    if tied:
        model.mllm.lm_head.weight = model.adapter.language_model.get_input_embeddings().weight
    parts_that_learn(model, LearnsConfig())
    assert model.adapter.language_model.get_input_embeddings().weight.requires_grad
    assert model.mllm.lm_head.weight.requires_grad
