"""InternVL's tensor names and layout, mapped between official checkpoints and transformers' module."""

from dataclasses import dataclass

from refsav.model.families.key_rules import Fusion, Rule, renamed

_VISION = "mllm.model.vision_tower."
_LANGUAGE = "mllm.model.language_model."
_LAYER = f"{_LANGUAGE}layers.{{n}}."

_INTERN_VIT = (
    Rule(
        "vision_model.encoder.layers.{n}.attn.qkv.{rest}",  # [3 D, D] and [3 D], D the width
        tuple(f"{_VISION}encoder.layer.{{n}}.attention.{letter}_proj.{{rest}}" for letter in "qkv"),
        Fusion(groups=1, shares=(1, 1, 1)),
    ),
    *renamed(
        "vision_model.embeddings.",
        f"{_VISION}embeddings.",
        {
            "class_embedding": "cls_token",  # [1, 1, D]
            "position_embedding": "position_embeddings",  # [1, 1 + patches, D]
            "patch_embedding.{rest}": "patch_embeddings.projection.{rest}",  # [D, 3, patch_px, patch_px] and [D]
        },
    ),
    *renamed(
        "vision_model.encoder.layers.{n}.",
        f"{_VISION}encoder.layer.{{n}}.",
        {
            "attn.proj.{rest}": "attention.projection_layer.{rest}",
            "attn.q_norm.{rest}": "attention.q_norm.{rest}",
            "attn.k_norm.{rest}": "attention.k_norm.{rest}",
            "mlp.{rest}": "mlp.{rest}",
            "norm1.{rest}": "layernorm_before.{rest}",
            "norm2.{rest}": "layernorm_after.{rest}",
            "ls1": "lambda_1",
            "ls2": "lambda_2",
        },
    ),
    *renamed(
        "mlp1.",
        "mllm.model.multi_modal_projector.",
        {"0.{rest}": "layer_norm.{rest}", "1.{rest}": "linear_1.{rest}", "3.{rest}": "linear_2.{rest}"},
    ),
)

_AS_IN_TRANSFORMERS = (
    Rule("language_model.model.{rest}", (f"{_LANGUAGE}{{rest}}",)),
    Rule("language_model.lm_head.{rest}", ("mllm.lm_head.{rest}",)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """Number of attention heads of a language model."""

    queries: int
    keys: int
    """Key-value heads; each serves queries // keys consecutive query heads."""


def internvl_rules(internlm2: Heads | None = None) -> tuple[Rule, ...]:
    """Return the rules of an InternVL; they are the same for a Sa2VA and a base model.

    Args:
        internlm2: Heads of an InternLM2, which transformers' Llama replaces; None for every other language model.

    Raises:
        ValueError: If the query heads are not a multiple of the key-value heads.
    """
    return (*_INTERN_VIT, *(_AS_IN_TRANSFORMERS if internlm2 is None else _internlm2(internlm2)))


def _internlm2(heads: Heads) -> tuple[Rule, ...]:
    """InternLM2 to Llama: `wqkv` holds, for each key-value head in turn, its query heads, its key and its value."""
    if heads.queries % heads.keys:
        raise ValueError(f"{heads.queries} query heads cannot share {heads.keys} key-value heads evenly")
    return (
        Rule(
            "language_model.model.layers.{n}.attention.wqkv.{rest}",
            tuple(f"{_LAYER}self_attn.{letter}_proj.{{rest}}" for letter in "qkv"),
            Fusion(groups=heads.keys, shares=(heads.queries // heads.keys, 1, 1)),
        ),
        *renamed(
            "language_model.model.layers.{n}.",
            _LAYER,
            {
                "attention.wo.{rest}": "self_attn.o_proj.{rest}",
                "feed_forward.w1.{rest}": "mlp.gate_proj.{rest}",
                "feed_forward.w2.{rest}": "mlp.down_proj.{rest}",
                "feed_forward.w3.{rest}": "mlp.up_proj.{rest}",
                "attention_norm.{rest}": "input_layernorm.{rest}",
                "ffn_norm.{rest}": "post_attention_layernorm.{rest}",
            },
        ),
        Rule("language_model.model.tok_embeddings.{rest}", (f"{_LANGUAGE}embed_tokens.{{rest}}",)),
        Rule("language_model.model.norm.{rest}", (f"{_LANGUAGE}norm.{{rest}}",)),
        Rule("language_model.output.{rest}", ("mllm.lm_head.{rest}",)),
    )
