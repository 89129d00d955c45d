"""A base model and a SAM-2 become a Sa2VA: nothing of either is lost, and what does not fit is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from refsav.errors import RecordError
from refsav.model.checkpoints.key_names import has_two_decoders
from refsav.model.creation.from_base_models import from_base
from refsav.model.families.mllm import SPECIAL_TOKENS
from refsav.model.sa2va import Sa2VA
from tests.support.models.base_model import PADDED_ROWS, SAM2, rewrite_config, write_base, write_sam2

TOKENS = 400
"""Of the base models' tokenizer."""

BASES: dict[str, dict[str, Any]] = {
    "Qwen3-VL": {"name": "pocket"},
    "Qwen3-VL tied": {"name": "pocket", "tied": True},
    "Qwen2.5-VL": {"name": "pocket-qwen25"},
    "Qwen2.5-VL tied": {"name": "pocket-qwen25", "tied": True},
    "Qwen2.5-VL old": {"name": "pocket-qwen25", "old": True},
    "Qwen2.5-VL old and tied": {"name": "pocket-qwen25", "old": True, "tied": True},
    "InternVL": {"name": "pocket-internvl"},
    "InternVL internlm2": {"name": "pocket-internvl", "kind": "internlm2"},
    "InternVL phi3": {"name": "pocket-internvl", "kind": "phi3"},
}
PROMPT, ANSWER = "Please segment the red ring.", "Sure, it is [SEG]."


@pytest.fixture
def sam2(tmp_path: Path) -> Path:
    write_sam2(tmp_path / "sam2.safetensors")
    return tmp_path / "sam2.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_base(tmp_path / "base", "pocket")
    return tmp_path / "base"


def edit(folder: Path, **changes: torch.Tensor | None) -> None:
    path = folder / "model.safetensors"
    state = {**load_file(path), **changes}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, path)


@pytest.mark.parametrize("which", BASES)
def test_every_weight_of_both_finds_its_place(which: str, tmp_path: Path) -> None:
    expected = {f"mllm.{n}": t for n, t in write_base(tmp_path / "base", **BASES[which]).state_dict().items()}
    expected |= {f"sam2.{n}": t for n, t in write_sam2(tmp_path / "sam2.safetensors").items()}
    model = from_base(tmp_path / "base", tmp_path / "sam2.safetensors", sam2_config=SAM2)
    assert model.architecture.family == which.split()[0]
    found = model.state_dict()
    family = model.architecture.entry
    for name in (family.embedding, family.head):
        table, old = found.pop(name), expected.pop(name)
        assert len(old) == PADDED_ROWS and table.shape == (TOKENS + len(SPECIAL_TOKENS), old.shape[1])
        assert torch.equal(table[:TOKENS], old[:TOKENS])
        torch.testing.assert_close(table[TOKENS:], old[:TOKENS].mean(0).expand(len(SPECIAL_TOKENS), -1))
    drawn = {name: found.pop(name) for name in list(found) if name.startswith("text_hidden_fcs.")}
    assert len(drawn) == 4 and all(float(tensor.abs().max()) > 0 for tensor in drawn.values())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    ids = [model.adapter.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS]
    assert ids == list(range(TOKENS, TOKENS + len(SPECIAL_TOKENS)))


@pytest.mark.parametrize("which", BASES)
def test_it_is_saved_as_an_official_checkpoint_and_comes_back(which: str, tmp_path: Path) -> None:
    write_base(tmp_path / "base", **BASES[which])
    write_sam2(tmp_path / "sam2.safetensors")
    model = from_base(tmp_path / "base", tmp_path / "sam2.safetensors", sam2_config=SAM2)
    model.save_pretrained(tmp_path / "out")
    raw = json.loads((tmp_path / "out/config.json").read_text())
    language = raw["llm_config" if which.startswith("InternVL") else "text_config"]
    assert raw["model_type"] == "sa2va_chat" and raw["architectures"][0].startswith("Sa2VAChatModel")
    assert (language["vocab_size"], raw["tie_word_embeddings"]) == (405, language.get("tie_word_embeddings"))
    assert raw["tie_word_embeddings"] is False
    stored = load_file(tmp_path / "out/model.safetensors")
    assert any(name.endswith(("lm_head.weight", "language_model.output.weight")) for name in stored)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "LICENSE" in names and not names & {"README.md", "modeling.py"}
    assert ("preprocessor_config.json" in names) == (not which.startswith("InternVL"))
    again = Sa2VA.from_pretrained(tmp_path / "out", device="cpu")
    ours, theirs = model.state_dict(), again.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    masks = [one.ground([picture], PROMPT, ANSWER)[0].low_res_logits for one in (model, again)]
    torch.testing.assert_close(masks[0], masks[1], rtol=0, atol=1e-5)


def test_the_original_decoder_is_kept_next_to_the_one_to_be_trained(base: Path, sam2: Path, tmp_path: Path) -> None:
    model = from_base(base, sam2, sam2_config=SAM2, keep_original_decoder=True)
    assert model.original_decoder is not None
    with torch.no_grad():
        model.sam2.sam_mask_decoder.iou_token.weight.add_(1)
    assert not torch.equal(model.original_decoder.iou_token.weight, model.sam2.sam_mask_decoder.iou_token.weight)
    model.save_pretrained(tmp_path / "out")
    stored = load_file(tmp_path / "out/model.safetensors")
    assert has_two_decoders(stored)
    assert torch.equal(
        stored["grounding_encoder.sam2_model.sam_mask_decoder.iou_token.weight"],
        load_file(sam2)["sam_mask_decoder.iou_token.weight"],
    )
    again = Sa2VA.from_pretrained(tmp_path / "out", device="cpu")
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    elsewhere = tmp_path / "other.safetensors"
    decoder = write_sam2(elsewhere, iou=torch.zeros(1))["sam_mask_decoder.iou_token.weight"]
    third = Sa2VA.from_pretrained(tmp_path / "out", device="cpu", original_sam2=elsewhere)
    assert third.original_decoder is not None
    assert torch.equal(third.original_decoder.iou_token.weight, decoder)


def test_an_original_decoder_of_another_size_is_named(base: Path, sam2: Path, tmp_path: Path) -> None:
    from_base(base, sam2, sam2_config=SAM2).save_pretrained(tmp_path / "out")
    write_sam2(tmp_path / "wide.safetensors", SAM2.model_copy(update={"d_model": 192}))
    with pytest.raises(RecordError) as refused:
        Sa2VA.from_pretrained(tmp_path / "out", device="cpu", original_sam2=tmp_path / "wide.safetensors")
    assert "wide.safetensors: its mask decoder is not one of a SAM-2 of the model's size" in str(refused.value)
    assert "sam_mask_decoder.iou_token.weight [1, 192]: [1, 192] where the model has [1, 128]" in str(refused.value)


def test_types_and_seed_are_as_configured(base: Path, tmp_path: Path) -> None:
    write_sam2(tmp_path / "sam2.pt")
    edit(base, **{name: tensor.bfloat16() for name, tensor in load_file(base / "model.safetensors").items()})
    options: dict[str, Any] = {"sam2_config": SAM2, "allow_pickle": True}
    stored = from_base(base, tmp_path / "sam2.pt", **options)
    assert {p.dtype for p in stored.mllm.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in stored.sam2.parameters()} == {torch.float32}
    half = from_base(base, tmp_path / "sam2.pt", **options, dtype=torch.bfloat16, seed=1)
    assert {p.dtype for p in (*half.mllm.parameters(), *half.text_hidden_fcs.parameters())} == {torch.bfloat16}
    assert {p.dtype for p in half.sam2.parameters()} == {torch.float32}  # on a CPU
    same, other = (from_base(base, tmp_path / "sam2.pt", **options, seed=seed) for seed in (0, 1))
    for layer in (0, 2):
        assert torch.equal(stored.text_hidden_fcs[layer].weight, same.text_hidden_fcs[layer].weight)
        assert not torch.equal(stored.text_hidden_fcs[layer].weight, other.text_hidden_fcs[layer].weight)


def test_packages_that_a_released_file_asks_for_are_not_needed(base: Path, sam2: Path) -> None:
    raw = json.loads((base / "config.json").read_text())
    asking = {"attn_implementation": "flash_attention_2"}
    nested = {part: {**raw[part], **asking} for part in ("text_config", "vision_config")}
    rewrite_config(base, {**raw, **asking, **nested})
    assert from_base(base, sam2, sam2_config=SAM2).adapter.text_config._attn_implementation == "sdpa"


def test_a_pickle_is_read_only_if_that_is_allowed(base: Path, tmp_path: Path) -> None:
    write_sam2(tmp_path / "sam2.pt")
    with pytest.raises(RecordError, match=r"sam2.pt: is a pickle, which is not read by default"):
        from_base(base, tmp_path / "sam2.pt", sam2_config=SAM2)


def test_weights_that_do_not_fit_are_named_in_the_base_models_own_words(base: Path, sam2: Path) -> None:
    norm = "model.language_model.norm.weight"
    edit(base, **{norm: None, "lm_head.bias": torch.zeros(3), "model.visual.pos_embed.weight": torch.zeros(9, 64)})
    edit(base, **{"model.language_model.embed_tokens.weight": torch.zeros(512, 64)})
    with pytest.raises(RecordError) as refused:
        from_base(base, sam2, sam2_config=SAM2)
    assert str(refused.value) == (
        f"{base}: its weights are not those of a Qwen3-VL as its config.json describes it\n"
        f"  missing: 1\n    {norm}\n"
        "  unexpected: 1\n    lm_head.bias\n"
        "  of another shape: 2\n"
        "    model.language_model.embed_tokens.weight [512, 64]: [405, 64] where the model has [405, 128]\n"
        "    model.visual.pos_embed.weight [9, 64]: [9, 64] where the model has [144, 64]\n"
        "  fix: use config.json and weights of the same model"
    )


def test_another_sam2_is_refused(base: Path, tmp_path: Path) -> None:
    write_sam2(tmp_path / "new.safetensors", no_obj_embed_spatial=torch.zeros(1, 64))
    with pytest.raises(RecordError) as refused:
        from_base(base, tmp_path / "new.safetensors", sam2_config=SAM2)
    assert "its weights are not those of a SAM 2.0 of this size\n  unexpected: 1\n    no_obj_embed_spatial" in str(
        refused.value
    )
    save_file({"vision_encoder.weight": torch.zeros(1)}, tmp_path / "hf.safetensors")
    with pytest.raises(RecordError, match=r"it is not a SAM-2 checkpoint with Meta's names"):
        from_base(base, tmp_path / "hf.safetensors", sam2_config=SAM2)
    with pytest.raises(RecordError, match=r"none.safetensors: there is no such file"):
        from_base(base, tmp_path / "none.safetensors", sam2_config=SAM2)
    write_sam2(tmp_path / "small.safetensors")
    with pytest.raises(RecordError, match=r"  of another shape: \d+\n"):  # taken for the released size
        from_base(base, tmp_path / "small.safetensors")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"model_type": "internvl"}, "is an InternVL in transformers' own layout"),
        ({"model_type": "sa2va_chat"}, "is already a Sa2VA, not a base model"),
        (
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
            "describes LlamaForCausalLM, which is not a supported family",
        ),
    ],
)
def test_other_models_are_refused(base: Path, sam2: Path, raw: dict[str, Any], problem: str) -> None:
    rewrite_config(base, raw)
    with pytest.raises(RecordError) as refused:
        from_base(base, sam2, sam2_config=SAM2)
    assert f"{base / 'config.json'}:" in str(refused.value) and problem in str(refused.value)


def test_a_directory_that_is_none_is_refused(sam2: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no such directory\n  fix: give the directory of a base model"):
        from_base(tmp_path / "none", sam2)
