"""What official tensors hold arrives in our module, number for number, and goes back to where it came from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import InternVLVisionConfig, LlamaConfig
from transformers.models.internvl.modeling_internvl import InternVLVisionLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from refsav.model.checkpoints.key_names import Difference, KeyMap
from refsav.model.families.internvl_keys import Heads, internvl_rules

SAM2 = "grounding_encoder.sam2_model."
VISION_TOWER = "mllm.model.vision_tower.encoder.layer.0."


@pytest.mark.parametrize("shape", [(), (8,), (10, 3)])
def test_rows_that_do_not_divide_are_refused(shape: tuple[int, ...]) -> None:
    keys = KeyMap.sa2va(internvl_rules(), two_decoders=False)
    with pytest.raises(ValueError, match="does not divide into 3 equal blocks"):
        keys.inward("vision_model.encoder.layers.0.attn.qkv.weight", torch.zeros(shape))


def test_what_cannot_be_written_is_refused() -> None:
    keys = KeyMap.sa2va(internvl_rules(), two_decoders=False)
    with pytest.raises(ValueError, match=r"original_decoder.w has no name"):
        list(keys.outward({"original_decoder.w": torch.zeros(1)}))
    query, key, value = (f"{VISION_TOWER}attention.{part}_proj.bias" for part in "qkv")
    with pytest.raises(ValueError, match=r"attn.qkv.bias cannot be put together without .*k_proj.bias, .*v_proj.bias"):
        list(keys.outward({query: torch.zeros(4)}))
    with pytest.raises(ValueError, match=r"attn.qkv.bias: shapes \[\[4\], \[4\], \[2\]\] do not have rows in"):
        list(keys.outward({query: torch.zeros(4), key: torch.zeros(4), value: torch.zeros(2)}))


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="5 query heads cannot share 2"):
        KeyMap.sa2va(internvl_rules(Heads(queries=5, keys=2)), two_decoders=False)


def test_nothing_is_copied_where_a_view_does() -> None:
    keys = KeyMap.sa2va(internvl_rules(), two_decoders=False)
    fused = torch.arange(24.0).view(6, 4)
    parts = keys.inward("vision_model.encoder.layers.0.attn.qkv.weight", fused)
    assert [name for name, _ in parts] == [f"{VISION_TOWER}attention.{part}_proj.weight" for part in "qkv"]
    for (_, part), rows in zip(parts, fused.split(2), strict=True):
        assert part.data_ptr() == rows.data_ptr() and torch.equal(part, rows)
    norm = torch.zeros(3)
    assert keys.inward("language_model.model.norm.weight", norm)[0][1] is norm
    assert next(keys.outward({"mllm.model.language_model.norm.weight": norm}))[1] is norm


class Counted(dict[str, Tensor]):
    """Counts what has been taken out of it."""

    taken = 0

    def __getitem__(self, name: str) -> Tensor:
        self.taken += 1
        return super().__getitem__(name)


def test_tensors_are_taken_when_their_turn_comes() -> None:
    parts = [f"{VISION_TOWER}attention.{part}_proj.bias" for part in "qkv"]
    names = [f"{VISION_TOWER}lambda_1", *parts, f"{VISION_TOWER}lambda_2"]
    state = Counted({name: torch.zeros(2) for name in names})
    taken = []
    for _ in KeyMap.sa2va(internvl_rules(), two_decoders=False).outward(state):
        taken.append(state.taken)
    assert taken == [1, 4, 5]


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[KeyMap, dict[str, Tensor]]:
    """A map and an official checkpoint of it, of small shapes, in which no number occurs twice."""
    size = st.integers(1, 4)
    two_decoders, fused, kv_heads, shared = draw(st.booleans()), draw(st.booleans()), draw(size), draw(size)
    head, width, layers = draw(size), draw(size), range(draw(st.integers(1, 12)))
    named: dict[str, tuple[int, ...]] = {
        f"{SAM2}memory_encoder.fuser.layers.1.g_weight": (width,),
        f"{SAM2}sam_mask_decoder.iou_token.weight": (1, width),
        "text_hidden_fcs.0.weight": (width, width),
        "mlp1.3.bias": (width,),
    }
    if two_decoders:
        named[f"{SAM2}sam_mask_decoder_modified.iou_token.weight"] = (1, width)
    rows = (shared + 2) * kv_heads * head
    for layer in layers:
        attention = f"language_model.model.layers.{layer}.{'attention.wqkv' if fused else 'self_attn.qkv_proj'}"
        named |= {f"{attention}.weight": (rows, width), f"{attention}.bias": (rows,)}
        tower = f"vision_model.encoder.layers.{layer}."
        named |= {f"{tower}attn.qkv.weight": (3 * width, width), f"{tower}attn.qkv.bias": (3 * width,)}
        named[f"{tower}ls2"] = (width,)
    heads = Heads(queries=shared * kv_heads, keys=kv_heads)
    sizes = [math.prod(shape) for shape in named.values()]
    numbers = torch.arange(sum(sizes)).split(sizes)
    keys = KeyMap.sa2va(internvl_rules(heads if fused else None), two_decoders=two_decoders)
    return keys, {key: part.view(shape) for (key, shape), part in zip(named.items(), numbers, strict=True)}


@given(checkpoints())
def test_what_comes_in_goes_out_again(checkpoint: tuple[KeyMap, dict[str, Tensor]]) -> None:
    keys, official = checkpoint
    ours = dict(pair for key, tensor in official.items() for pair in keys.inward(key, tensor))
    assert sum(tensor.numel() for tensor in ours.values()) == sum(tensor.numel() for tensor in official.values())
    assert keys.compare(official, ours) == Difference(missing=(), unexpected=())
    back = dict(keys.outward(ours))
    assert list(back) == list(official)
    assert all(torch.equal(back[key], tensor) and back[key].is_contiguous() for key, tensor in official.items())


def rms_norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def rotated(x: np.ndarray) -> np.ndarray:
    """Rotary positions of one head [tokens, head_dim]: number i turns with number i + half."""
    half = x.shape[1] // 2
    angle = np.arange(len(x))[:, None] / 10000.0 ** (np.arange(half) / half)
    first, second = x[:, :half], x[:, half:]
    return np.hstack([first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle)])


def internlm2_layer(x: np.ndarray, weights: dict[str, np.ndarray], heads: Heads, head_dim: int) -> np.ndarray:
    """One decoder layer of InternLM2 [tokens, width], written out head by head on the official weights."""
    shared = heads.queries // heads.keys
    normed = rms_norm(x, weights["attention_norm"])
    rows = weights["attention.wqkv"].reshape(heads.keys, shared + 2, head_dim, -1)
    outputs = []
    for head in range(heads.queries):
        group = rows[head // shared]
        query, key, value = (normed @ block.T for block in (group[head % shared], group[shared], group[shared + 1]))
        scores = rotated(query) @ rotated(key).T / np.sqrt(head_dim)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        outputs.append(weight / weight.sum(-1, keepdims=True) @ value)
    x = x + np.hstack(outputs) @ weights["attention.wo"].T
    normed = rms_norm(x, weights["ffn_norm"])
    gate, up = normed @ weights["feed_forward.w1"].T, normed @ weights["feed_forward.w3"].T
    return x + (gate / (1 + np.exp(-gate)) * up) @ weights["feed_forward.w2"].T


@pytest.mark.parametrize(
    "heads", [Heads(queries=6, keys=2), Heads(queries=3, keys=3), Heads(queries=4, keys=1)], ids=str
)
def test_an_internlm2_layer_computes_the_same_as_a_llama_layer(heads: Heads) -> None:
    head_dim, width, inner, tokens = 4, 4 * heads.queries, 10, 5
    sizes = {
        "attention.wqkv": ((heads.queries + 2 * heads.keys) * head_dim, width),
        "attention.wo": (width, width),
        "feed_forward.w1": (inner, width),
        "feed_forward.w2": (width, inner),
        "feed_forward.w3": (inner, width),
        "attention_norm": (width,),
        "ffn_norm": (width,),
    }
    numbers = np.random.default_rng(0)
    weights = {name: numbers.normal(size=size) for name, size in sizes.items()}
    x = numbers.normal(size=(tokens, width))

    keys = KeyMap.sa2va(internvl_rules(heads), two_decoders=False)
    layer = "language_model.model.layers.0."
    pairs = [p for name, w in weights.items() for p in keys.inward(f"{layer}{name}.weight", torch.from_numpy(w))]
    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads.queries,
        num_key_value_heads=heads.keys,
        head_dim=head_dim,
        rms_norm_eps=1e-6,
        attn_implementation="eager",
    )
    llama = LlamaDecoderLayer(config, 0).double().eval()
    llama.load_state_dict({name.removeprefix(f"mllm.model.{layer.replace('.model.', '.')}"): t for name, t in pairs})

    angle = np.arange(tokens)[:, None] / 10000.0 ** (np.arange(head_dim // 2) / (head_dim // 2))
    turned = torch.from_numpy(np.hstack([angle, angle]))[None]
    mask = torch.full((tokens, tokens), -torch.inf, dtype=torch.double).triu(1)[None, None]
    with torch.no_grad():
        found = llama(torch.from_numpy(x)[None], mask, position_embeddings=(turned.cos(), turned.sin()))
    expected = internlm2_layer(x, weights, heads, head_dim)
    np.testing.assert_allclose(
        found.reshape(tokens, width), expected, rtol=1e-5, atol=1e-4
    )  # norms and softmax in float32


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * weight + bias


def intern_vit_layer(x: np.ndarray, weights: dict[str, np.ndarray], heads: int, *, large: bool) -> np.ndarray:
    """One layer of InternViT [tokens, width], on the official weights; the large tower norms otherwise."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        if large:
            return rms_norm(x, weights[f"{name}.weight"])
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    query, key, value = np.split(
        norm(x, "norm1") @ weights["attn.qkv.weight"].T + weights.get("attn.qkv.bias", 0), 3, 1
    )
    if large:
        query, key = norm(query, "attn.q_norm"), norm(key, "attn.k_norm")
    outputs = []
    for q, k, v in zip(*(np.split(part, heads, 1) for part in (query, key, value)), strict=True):
        weight = np.exp(q @ k.T / np.sqrt(q.shape[1]))
        outputs.append(weight / weight.sum(-1, keepdims=True) @ v)
    x = x + weights["ls1"] * (np.hstack(outputs) @ weights["attn.proj.weight"].T + weights["attn.proj.bias"])
    inner = norm(x, "norm2") @ weights["mlp.fc1.weight"].T + weights["mlp.fc1.bias"]
    inner = inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) / 2
    return x + weights["ls2"] * (inner @ weights["mlp.fc2.weight"].T + weights["mlp.fc2.bias"])


@pytest.mark.parametrize("large", [False, True], ids=["300M", "6B"])
def test_a_layer_of_the_vision_tower_computes_what_the_official_weights_mean(large: bool) -> None:
    config = InternVLVisionConfig(
        hidden_size=8,
        intermediate_size=12,
        num_attention_heads=2,
        attention_bias=not large,
        use_qk_norm=large,
        norm_type="rms_norm" if large else "layer_norm",
        attn_implementation="eager",
    )
    tower = InternVLVisionLayer(config).double().eval()
    numbers = np.random.default_rng(0)
    state = {name: torch.from_numpy(numbers.normal(size=t.shape)) for name, t in tower.state_dict().items()}
    tower.load_state_dict(state)
    ours = {f"{VISION_TOWER}{name}": tensor for name, tensor in state.items()}
    official = KeyMap.sa2va(internvl_rules(), two_decoders=False).outward(ours)
    weights = {key.removeprefix("vision_model.encoder.layers.0."): tensor.numpy() for key, tensor in official}
    x = numbers.normal(size=(5, 8))
    with torch.no_grad():
        found = tower(torch.from_numpy(x)[None])
    expected = intern_vit_layer(x, weights, 2, large=large)
    np.testing.assert_allclose(found.reshape(5, 8), expected, rtol=1e-5, atol=1e-4)
