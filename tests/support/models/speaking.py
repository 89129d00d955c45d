"""Small Sa2VAs that always answer with the same sentence and segment something; each is created in a second."""

from pathlib import Path

import torch

from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.sa2va import Sa2VA

CONFIGS = Path(__file__).parents[3] / "configs/models"

SENTENCE = "Sure, it is<p> red</p> [SEG]."
"""No token comes twice in it."""


def write_speaking(directory: Path, config: str = "pocket", sentence: str = SENTENCE) -> Path:
    """Write a checkpoint of the sizes in configs/models whose greedy answer to anything is `sentence`.

    Layers add little to an embedding, embeddings of the sentence's tokens are orthogonal, and the head's row of each is
    the embedding of the one before it: what is said next depends on the last token alone.
    """
    sizes = ModelConfig.from_toml(CONFIGS / f"{config}.toml")
    tokenizer = usual_tokenizer(sizes)
    model = create(sizes, tokenizer, seed=1)
    _teach(
        model, [*tokenizer.encode("assistant\n", add_special_tokens=False)[-1:], *model.adapter.answer_ids(sentence)]
    )
    model.save_pretrained(directory)
    return directory


@torch.no_grad()
def _teach(model: Sa2VA, chain: list[int]) -> None:
    assert len(set(chain)) == len(chain), f"a token comes twice: {chain}"
    language = model.adapter.language_model
    for layer in language.layers:
        layer.self_attn.o_proj.weight.mul_(0.1)  # so that a [SEG] differs with the question
        layer.mlp.down_proj.weight.zero_()
    embedding, head = language.get_input_embeddings().weight, model.mllm.lm_head.weight.zero_()
    embedding[chain] = torch.eye(embedding.shape[1])[: len(chain)]
    for place in range(len(chain) - 1):
        head[chain[place + 1], place] = 1.0
    model.sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)  # every marked object counts as visible
