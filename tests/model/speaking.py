"""A small Sa2VA that always says the same sentence, and draws masks of whatever it sees; made in a second."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer
from transformers import PreTrainedTokenizerFast

from refsav.model.architecture import Architecture, read_tokenizer
from refsav.model.checkpoint import Assets
from refsav.model.mllm import SPECIAL_TOKENS
from refsav.model.sa2va import Sa2VA

WORDS = ("Sure", ", it is", "<p>", " that thing", "</p>", " ", "[SEG]", ".")
"""What it says, token by token; none comes twice."""

QWEN_TOKENS = ("<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ content['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

POCKET_SAM2 = {
    "image_size": 128,
    "embed_dim": 24,
    "num_heads": 1,
    "stages": [1, 1, 2, 1],
    "global_att_blocks": [3],
    "window_spec": [8, 4, 8, 4],
    "d_model": 128,
    "mem_dim": 32,
    "memory_layers": 1,
    "memory_feedforward": 128,
    "layer_scale": 0.1,
}


def write_speaking(directory: Path, words: Sequence[str] = WORDS, seed: int = 0) -> Path:
    """Write a checkpoint of the Qwen3-VL family whose greedy answer to anything is `words`.

    Layers add little to an embedding, embeddings of the words are orthogonal, and the head's row of each is the
    embedding of the one before it: what is said next depends on the last token alone.
    """
    directory.mkdir(parents=True)
    tokenizer = _tokenizer(words)
    tokenizer.save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps(_config(tokenizer)))
    torch.manual_seed(seed)
    model = Sa2VA(Architecture.read(directory), original_decoder=False)
    model.equip(read_tokenizer(directory), Assets.read(directory))
    said = [tokenizer.convert_tokens_to_ids(word) for word in words]
    _teach(model, [*tokenizer.encode("\n", add_special_tokens=False), *said, model.adapter.stop_ids[0]])
    model.save_pretrained(directory)
    return directory


@torch.no_grad()
def _teach(model: Sa2VA, chain: list[int]) -> None:
    assert len(set(chain)) == len(chain), "a token comes twice"
    language = model.adapter.language_model
    for layer in language.layers:
        layer.self_attn.o_proj.weight.mul_(0.1)  # so that a [SEG] differs with the question
        layer.mlp.down_proj.weight.zero_()
    embedding, head = language.get_input_embeddings().weight, model.mllm.lm_head.weight.zero_()
    embedding[chain] = torch.eye(embedding.shape[1])[: len(chain)]
    for place in range(len(chain) - 1):
        head[chain[place + 1], place] = 1.0
    model.text_hidden_fcs[2].weight.mul_(6)  # prompts of the size that SAM-2's own have
    model.sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)  # whatever is marked can be seen


def _tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A token for each byte, for each word, and those that Qwen and Sa2VA add."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = RawTokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(list(QWEN_TOKENS + SPECIAL_TOKENS))
    raw.add_tokens([AddedToken(word, normalized=False) for word in words if raw.token_to_id(word) is None])
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, chat_template=TEMPLATE, **ends)


def _config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    id_of = tokenizer.convert_tokens_to_ids
    return {
        "architectures": ["Sa2VAChatModelQwen"],
        "model_type": "sa2va_chat",
        "image_token_id": id_of("<|image_pad|>"),
        "video_token_id": id_of("<|video_pad|>"),
        "vision_start_token_id": id_of("<|vision_start|>"),
        "vision_end_token_id": id_of("<|vision_end|>"),
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "qwen3_vl_text",
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "max_position_embeddings": 8192,
            "rope_scaling": {"rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True},
        },
        "vision_config": {
            "model_type": "qwen3_vl",
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 64,
            "patch_size": 16,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        },
        "refsav": {"sam2": POCKET_SAM2},
    }
