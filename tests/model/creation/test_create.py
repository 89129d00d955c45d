"""Models from nothing: true to the released layout, whole after a round trip, of the sizes that are published."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refsav.errors import ConfigError
from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.device_map import empty
from refsav.model.checkpoints.load_state import shapes_of
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.creation.config_json import official_config
from refsav.model.creation.create import create, parameters_by_part, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.families.mllm import Tokenizer
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.sa2va import Sa2VA

CONFIGS = Path(__file__).parents[3] / "configs/models"
POCKETS = ("pocket", "pocket-qwen25", "pocket-internvl")


def read(name: str) -> ModelConfig:
    return ModelConfig.from_toml(CONFIGS / f"{name}.toml")


def changed(name: str, **tables: Mapping[str, Any]) -> ModelConfig:
    values = read(name).model_dump(exclude_unset=True)
    return ModelConfig.from_mapping({**values, **{k: {**values[k], **v} for k, v in tables.items()}}, "test")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return usual_tokenizer(read("pocket"))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)


def same(one: Sa2VA, other: Sa2VA) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---- pocket size ----


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, None) for name in POCKETS), *(("pocket-internvl", k) for k in ("internlm2", "phi3", "llama", "qwen3"))],
)
def test_a_model_comes_back_from_disk_as_it_was(
    name: str, kind: str | None, tmp_path: Path, picture: np.ndarray
) -> None:
    config = changed(name, language={"kind": kind}) if kind else read(name)
    model = create(config, usual_tokenizer(config), 3)
    model.save_pretrained(tmp_path)
    again = Sa2VA.from_pretrained(tmp_path, device="cpu")
    assert same(model, again)
    assert again.architecture.raw == model.architecture.raw == json.loads((tmp_path / "config.json").read_text())
    assert again.architecture.sam2 == config.sam2
    prompt, answer = "Please segment the red ring.", "It is [SEG]."
    found, expected = (one.ground([picture], prompt, answer)[0] for one in (again, model))
    torch.testing.assert_close(found.low_res_logits, expected.low_res_logits, rtol=0, atol=1e-5)
    assert found.masks.shape == (1, 96, 128)
    said = [
        one.generate_text([picture], [prompt], settings=InferenceSettings(new_tokens=8))[0].text
        for one in (again, model)
    ]
    assert said[0] == said[1]
    again.save_pretrained(tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", POCKETS)
def test_pocket_models_are_small_and_see_small_frames(name: str, picture: np.ndarray) -> None:
    config = read(name)
    model = create(config, usual_tokenizer(config))
    assert 3e6 < sum(parameters_by_part(model).values()) < 4.2e6
    assert sum(parameters_by_part(model).values()) == sum(p.numel() for p in model.parameters())
    wide = np.zeros((480, 640, 3), np.uint8)
    for frames in ([wide], [picture], [wide] * 5):
        assert sum(model.adapter.encode_frames(frames, []).tokens_per_frame) <= 80 * len(frames)
    prediction = model.predict([wide] * 6, "Please segment the red ring.", settings=InferenceSettings(new_tokens=4))
    assert prediction.text is not None


def test_released_bounds_of_a_frame_hold_where_a_checkpoint_names_none(picture: np.ndarray) -> None:
    config = read("pocket").model_dump(exclude_unset=True)
    del config["shown_pixels"]
    model = create(ModelConfig.from_mapping(config, "test"), usual_tokenizer(read("pocket")))
    assert "shown_pixels" not in model.architecture.raw["refsav"]
    assert model.adapter.encode_frames([picture], []).tokens_per_frame == (416,)


def test_the_seed_decides_and_nothing_else_is_drawn_from(tokenizer: Tokenizer) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = create(read("pocket"), tokenizer, 1)
    assert torch.equal(torch.rand(1), expected)
    torch.rand(100)
    assert same(one, create(read("pocket"), tokenizer, 1))
    other = create(read("pocket"), tokenizer, 2)
    assert not torch.equal(one.mllm.lm_head.weight, other.mllm.lm_head.weight)
    assert not torch.equal(one.sam2.maskmem_tpos_enc, other.sam2.maskmem_tpos_enc)
    assert not torch.equal(one.text_hidden_fcs[0].weight, other.text_hidden_fcs[0].weight)


def test_weights_begin_as_the_configuration_says(tokenizer: Tokenizer, picture: np.ndarray) -> None:
    bare = {"prompt_gain": 1.0, "mask_gain": 1.0}
    model, plain = (create(changed("pocket", begin=begin), tokenizer) for begin in ({}, bare))
    assert abs(float(model.mllm.lm_head.weight.detach().std()) - 0.09) < 0.002
    assert abs(float(model.mllm.model.visual.blocks[0].attn.qkv.weight.detach().std()) - 0.02) < 0.001
    torch.testing.assert_close(model.text_hidden_fcs[2].weight, 6 * plain.text_hidden_fcs[2].weight)
    assert torch.equal(model.text_hidden_fcs[0].weight, plain.text_hidden_fcs[0].weight)
    made, as_torch = (one.sam2.sam_mask_decoder.output_hypernetworks_mlps[0].layers for one in (model, plain))
    assert all(torch.equal(one.weight, 2.45 * other.weight) for one, other in zip(made, as_torch, strict=True))
    assert float(model.sam2.memory_encoder.fuser.layers[0].gamma.detach().mean()) == pytest.approx(0.1)
    with torch.no_grad():
        decoded = model.sam2.decode(model.sam2.encode(picture), torch.randn(2, 128))
    assert (decoded.score == 10).all()
    prompts = model.generate_text([picture], ["Please segment the ring."], answers=["[SEG], [SEG]."])[0].seg_projected
    assert 0.3 < float(prompts.std()) < 3  # SAM-2's own are N(0, 1)


def test_weights_can_be_made_in_bfloat16(tokenizer: Tokenizer, picture: np.ndarray) -> None:
    values = {**read("pocket").model_dump(exclude_unset=True), "dtype": "bfloat16"}
    model, usual = create(ModelConfig.from_mapping(values, "test"), tokenizer), create(read("pocket"), tokenizer)
    assert {p.dtype for p in (*model.mllm.parameters(), *model.text_hidden_fcs.parameters())} == {torch.bfloat16}
    assert {p.dtype for p in model.sam2.parameters()} == {torch.float32}  # on a CPU
    assert torch.get_default_dtype() == torch.float32
    computed = dict(usual.mllm.named_buffers())
    for name, buffer in model.mllm.named_buffers():
        assert torch.equal(buffer, computed[name]), name
    assert model.ground([picture] * 7, "Please segment the red ring.", "It is [SEG].")[0].masks.shape == (7, 96, 128)


def test_a_tokenizer_that_is_too_large_is_refused(tokenizer: Tokenizer) -> None:
    config = changed("pocket", language={"vocabulary": 300})
    with pytest.raises(InputError, match=r"vocabulary is 300, but the tokenizer has \d+ tokens"):
        create(config, tokenizer)


# ---- the released layout ----

AS_IN_PARITY = {
    "internvl": {
        "family": "InternVL",
        "language": {"hidden_size": 96, "layers": 3, "heads": 4, "kv_heads": 2, "feedforward": 160},
        "vision": {"hidden_size": 64, "layers": 3, "heads": 4, "feedforward": 128},
    },
    "qwen3vl": {
        "family": "Qwen3-VL",
        "language": {
            "hidden_size": 96,
            "layers": 3,
            "heads": 4,
            "kv_heads": 2,
            "head_dim": 32,
            "feedforward": 160,
            "rope_theta": 5e6,
        },
        "vision": {
            "hidden_size": 64,
            "layers": 3,
            "heads": 4,
            "feedforward": 128,
            "patch_px": 16,
            "deepstack": (0, 1),
        },
    },
}


@pytest.mark.parametrize("family", AS_IN_PARITY)
def test_configuration_and_weights_are_laid_out_as_the_official_code_has_them(family: str, parity_data: Path) -> None:
    config = ModelConfig.from_mapping(AS_IN_PARITY[family], "test")
    raw = official_config(config, read_tokenizer(parity_data / family))
    official = json.loads((parity_data / family / "config.json").read_text())
    if family == "internvl":
        assert official["llm_config"].pop("max_window_layers") == 28  # nothing follows from it
        del raw["llm_config"]["max_window_layers"]
    assert raw == official
    architecture = Architecture.of(Path("config.json"), raw)
    shapes = shapes_of(empty(lambda: Sa2VA(architecture, original_decoder=False)))
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    written = architecture.key_map(two_decoders=False).outward(tensors)
    manifest = json.loads((parity_data / family / "manifest.json").read_text())
    assert {key: list(tensor.shape) for key, tensor in written} == {key: shape for key, (shape, _) in manifest.items()}


# ---- the released sizes ----

EXACTLY, ROUGHLY = 0.0, 2e-3

PUBLISHED = {
    "1b": (151674, 938_193_024, False, EXACTLY),
    "4b": (151674, 3_712_637_952, False, EXACTLY),
    "8b": (92553, 8_075_365_376, False, EXACTLY),
    "26b": (92553, 25_514_186_112, False, EXACTLY),
    "internvl3-2b": (151674, 2.09e9, False, ROUGHLY),
    "internvl3-8b": (151674, 7.94e9, False, ROUGHLY),
    "internvl3-14b": (151674, 15.1e9, False, ROUGHLY),
    "qwen25-3b": (151936, 3_754_622_976, True, EXACTLY),
    "qwen25-7b": (152064, 8_292_166_656, False, EXACTLY),
    "qwen3-4b": (151936, 4_437_815_808, True, EXACTLY),
}
"""Rows of the base model's embedding, its parameters, whether its output layer is that embedding, relative tolerance.

The parameters are those of the files on the hub; of InternVL3's, only what the hub rounds them to was at hand.
"""

SAM2_HIERA_L = 224_430_130
"""Parameters of the SAM-2 that every released checkpoint holds; 224.4 M as Meta publishes it."""


@pytest.mark.parametrize("name", sorted({path.stem for path in CONFIGS.glob("*.toml")} - set(POCKETS)))
def test_released_sizes_have_the_published_number_of_parameters(name: str, tokenizer: Tokenizer) -> None:
    rows, published, tied, tolerance = PUBLISHED[name]
    config = read(name)
    raw = official_config(config, tokenizer)
    assert "refsav" not in raw
    architecture = Architecture.of(Path("config.json"), raw)
    model = empty(lambda: Sa2VA(architecture, original_decoder=False))
    counts = parameters_by_part(model)
    assert counts["SAM-2"] == SAM2_HIERA_L
    width, extra = config.language.hidden_size, config.language.vocabulary - rows
    base = counts["vision tower"] + counts["language model"] - 2 * extra * width - (rows * width if tied else 0)
    assert base == pytest.approx(published, rel=tolerance, abs=0)
    assert architecture.hidden_size(model.mllm) == width


# ---- what cannot be made ----


@pytest.mark.parametrize(
    ("name", "tables", "problem"),
    [
        ("pocket", {"language": {"heads": 3}}, "hidden_size (128) must be a multiple of heads (3)"),
        ("pocket", {"language": {"kv_heads": 3}}, "heads (4) must be a multiple of kv_heads (3)"),
        ("pocket", {"language": {"kind": "llama"}}, "language.kind is a key of InternVL, not of Qwen3-VL"),
        ("pocket", {"vision": {"window_px": 56}}, "vision.window_px is a key of Qwen2.5-VL, not of Qwen3-VL"),
        ("pocket", {"vision": {"deepstack": (2,)}}, "vision.deepstack [2] names layers that vision.layers (2) lacks"),
        ("pocket", {"vision": {"positions": 150}}, "vision.positions (150) must be a square number"),
        ("pocket", {"vision": {"heads": 32}}, "vision.hidden_size / vision.heads must be a multiple of 4"),
        (
            "pocket-qwen25",
            {"language": {"head_dim": 64}},
            "language.head_dim is always hidden_size / heads for Qwen2.5-VL",
        ),
        ("pocket-internvl", {"vision": {"tile_px": 100}}, "must be a multiple of 2 * vision.patch_px"),
        ("pocket", {"sam2": {"image_size": 100}}, "image_size (100) must be a multiple of 32"),
        ("pocket", {"language": {"layer": 3}}, "language.layer: there is no such key; did you mean language.layers?"),
    ],
)
def test_sizes_that_do_not_fit_are_reported_by_their_keys(name: str, tables: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        changed(name, **tables)
    assert problem in str(refused.value)


def test_bounds_of_a_frame_must_be_in_order(tmp_path: Path) -> None:
    create(read("pocket"), usual_tokenizer(read("pocket"))).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "refsav": {**raw["refsav"], "shown_pixels": [5, 1]}}))
    with pytest.raises(ConfigError, match="shown_pixels must be two areas, the smaller first, not 5 and 1"):
        Sa2VA.from_pretrained(tmp_path, device="cpu")
