"""A checkpoint is written as it was read, and what cannot be read is named."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from refsav.errors import RecordError, RefSavError
from refsav.model.checkpoints import checkpoint as checkpoint_module
from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.device_map import empty
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.checkpoints.weights import INDEX, SINGLE, StoredTensors, write_tensors
from refsav.model.sa2va import Sa2VA
from tests.support.models.reference import CASES, FAMILIES, SAM2, Reference

Copy = Callable[..., Path]
Change = Callable[[Path], None]


@pytest.fixture
def copied(pocket_checkpoints: Callable[[str], Path], tmp_path: Path) -> Copy:
    """A pocket checkpoint of the test's own."""

    def copy(family: str = "internvl") -> Path:
        return Path(copytree(pocket_checkpoints(family), tmp_path / family))

    return copy


def stored(directory: Path) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of every tensor, by its name on disk."""
    tensors = StoredTensors.find(directory)
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.read()}


def hidden(model: Sa2VA) -> Tensor:
    case = CASES["video_a"]
    return model.generate_text(case.frames, [case.text], answers=[case.answer])[0].seg_hidden


# ---- what is written ----


@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_official_checkpoint_comes_out_as_it_went_in(
    checkpoints: Callable[[str], Path], references: dict[str, Reference], tmp_path: Path, family: str
) -> None:
    source, target = checkpoints(family), tmp_path / family
    model = Sa2VA.from_pretrained(source, device="cpu", dtype="stored")
    model.save_pretrained(target)
    manifest = references[family].manifest
    assert stored(target) == {key: (shape, getattr(torch, dtype)) for key, (shape, dtype) in manifest.items()}
    before = StoredTensors.find(source).file_of
    with safe_open(target / SINGLE, "pt") as written:
        for path in sorted(set(before.values())):
            with safe_open(path, "pt") as read:
                for key in read.keys():  # noqa: SIM118 - it is no mapping
                    assert torch.equal(written.get_tensor(key), read.get_tensor(key)), key
    small = {path.name for path in source.iterdir() if path.suffix != ".safetensors" and path.name != INDEX}
    assert {path.name for path in target.iterdir()} == {*small, SINGLE}
    assert all((target / name).read_bytes() == (source / name).read_bytes() for name in small)
    rmtree(target)  # 450 MB


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_thinks_the_same(
    pocket_models: Callable[[str], Sa2VA], references: dict[str, Reference], tmp_path: Path, family: str
) -> None:
    model = pocket_models(family)
    model.save_pretrained(tmp_path / "again")
    again = Sa2VA.from_pretrained(tmp_path / "again", device="cpu")
    assert torch.equal(hidden(model), hidden(again))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert references[family].difference("video_a/seg_hidden", hidden(again)) <= 1e-3  # the language model is the same


def test_types_of_a_mixed_file_are_kept_or_changed_as_asked(copied: Copy, tmp_path: Path) -> None:
    directory = copied()
    mixed = {key: tensor.float() if key.startswith(SAM2) else tensor for key, tensor in weights_of(directory).items()}
    save_file(mixed, directory / SINGLE)
    types = {key: tensor.dtype for key, tensor in mixed.items()}
    assert set(types.values()) == {torch.float32, torch.bfloat16}
    kept = Sa2VA.from_pretrained(directory, device="cpu", dtype="stored")
    kept.save_pretrained(tmp_path / "kept")
    assert {key: dtype for key, (_, dtype) in stored(tmp_path / "kept").items()} == types
    single = Sa2VA.from_pretrained(directory, device="cpu")
    assert {tensor.dtype for tensor in single.state_dict().values()} == {torch.float32}
    single.save_pretrained(tmp_path / "half", dtype=torch.bfloat16)
    assert {dtype for _, dtype in stored(tmp_path / "half").values()} == {torch.bfloat16}
    half = weights_of(tmp_path / "half")
    official = single.architecture.key_map(two_decoders=False).outward(single.state_dict())
    assert all(torch.equal(tensor, half.pop(key).float()) for key, tensor in official)
    assert not half


def test_shards_are_written_with_an_index_and_read_again(
    pocket_models: Callable[[str], Sa2VA], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def in_small_shards(directory: Path, tensors: Mapping[str, Tensor]) -> None:
        write_tensors(directory, tensors, shard_bytes=2 * 10**6)

    model = pocket_models("qwen3vl")
    monkeypatch.setattr(checkpoint_module, "write_tensors", in_small_shards)
    model.save_pretrained(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    shards = sorted(set(index.values()))
    assert len(shards) > 2 and not (tmp_path / SINGLE).exists()
    assert all((tmp_path / name).stat().st_size < 2.1 * 10**6 for name in shards)
    assert {key: tmp_path / name for key, name in index.items()} == dict(StoredTensors.find(tmp_path).file_of)
    assert torch.equal(hidden(Sa2VA.from_pretrained(tmp_path, device="cpu")), hidden(model))


def test_one_file_written_over_shards_is_what_is_read(tmp_path: Path) -> None:
    write_tensors(tmp_path, {f"old{n}": torch.zeros(100) for n in range(3)}, shard_bytes=500)
    assert (tmp_path / INDEX).exists()
    write_tensors(tmp_path, {"new": torch.ones(3)})
    assert dict(StoredTensors.find(tmp_path).file_of) == {"new": tmp_path / SINGLE}


def test_tied_weights_are_stored_for_each_name(pocket_checkpoints: Callable[[str], Path], tmp_path: Path) -> None:
    model = Sa2VA.from_pretrained(pocket_checkpoints("internvl"), device="cpu")
    model.mllm.lm_head.weight = model.mllm.model.language_model.embed_tokens.weight
    model.save_pretrained(tmp_path)
    written = weights_of(tmp_path)
    assert torch.equal(written["language_model.lm_head.weight"], written["language_model.model.embed_tokens.weight"])


# ---- what cannot be read ----


def weights_of(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / SINGLE)


def change_json(directory: Path, name: str, **values: Any) -> None:
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_weights(directory: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = weights_of(directory)
    change(tensors)
    save_file(tensors, directory / SINGLE)


def cut_short(directory: Path) -> None:
    path = directory / SINGLE
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_the_header(directory: Path) -> None:
    path = directory / SINGLE
    path.write_bytes(path.read_bytes()[:50])


def name_in_index(name: Any) -> Change:
    def change(directory: Path) -> None:
        save_file(weights_of(directory), directory.parent / "outside.safetensors")  # it would be there
        (directory / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(weights_of(directory), name)}))

    return change


def pickled_only(directory: Path) -> None:
    torch.save(weights_of(directory), directory / "pytorch_model.bin")
    (directory / SINGLE).unlink()


def copy_weights(directory: Path) -> None:
    shards = [directory / f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    save_file({"a": torch.zeros(1), "b": torch.zeros(1)}, shards[0])
    save_file({"b": torch.zeros(1)}, shards[1])
    (directory / SINGLE).unlink()


def without_seg(directory: Path) -> None:
    for path in directory.glob("*.json"):
        path.write_text(path.read_text().replace("[SEG]", "[CUT]"))


def language(architecture: str | None) -> Change:
    def change(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())["llm_config"]
        change_json(directory, "config.json", llm_config={**config, "architectures": architecture and [architecture]})

    return change


BROKEN: dict[str, tuple[Change, list[str]]] = {
    "no directory": (lambda d: rmtree(d), ["there is no such directory"]),
    "no configuration": (lambda d: (d / "config.json").unlink(), ["no config.json"]),
    "broken JSON": (lambda d: (d / "config.json").write_text('{"a": '), ["config.json", "cannot be read as JSON"]),
    "JSON in another coding": (
        lambda d: (d / "config.json").write_bytes('{"a": "é"}'.encode("latin-1")),
        ["config.json", "cannot be read as JSON"],
    ),
    "a list for a configuration": (
        lambda d: (d / "config.json").write_text("[]"),
        ["config.json", "not a JSON object"],
    ),
    "unknown family": (
        lambda d: (d / "config.json").write_text('{"architectures": ["LlavaForConditionalGeneration"]}'),
        ["config.json", "LlavaForConditionalGeneration", "Qwen2.5-VL", "Qwen3-VL", "InternVL"],
    ),
    "mixture of experts": (
        lambda d: (d / "config.json").write_text(
            '{"text_config": {"model_type": "qwen3_vl_moe_text"}, "architectures": ["Qwen3VLMoe"]}'
        ),
        ["Qwen3VLMoe", "Qwen2.5-VL", "Qwen3-VL", "InternVL"],
    ),
    "unknown language model": (
        language("GPTNeoXForCausalLM"),
        ["config.json", "GPTNeoXForCausalLM", "Qwen2ForCausalLM", "InternLM2ForCausalLM", "Phi3ForCausalLM"],
    ),
    "unnamed language model": (language(None), ["llm_config.architectures", "Qwen2ForCausalLM"]),
    "unknown template": (lambda d: change_json(d, "config.json", template="vicuna"), ["vicuna", "qwen_chat"]),
    "unknown size of SAM-2": (
        lambda d: change_json(d, "config.json", refsav={"sam2": {"embed_dims": 3}}),
        ["config.json", "embed_dims", "did you mean sam2.embed_dim"],
    ),
    "no weights": (lambda d: (d / SINGLE).unlink(), ["has no *.safetensors"]),
    "weights cut short": (cut_short, [SINGLE, "truncated or damaged"]),
    "weights cut in the header": (cut_in_the_header, [SINGLE, "truncated or damaged"]),
    "weights in pickles only": (pickled_only, ["only in pickles", "convert them to safetensors"]),
    "missing keys": (
        lambda d: change_weights(d, lambda t: [t.pop("mlp1.0.bias"), t.pop(f"{SAM2}no_mem_embed")]),
        ["missing: 2", "mlp1.0.bias", f"{SAM2}no_mem_embed"],
    ),
    "unexpected keys": (
        lambda d: change_weights(d, lambda t: t.update({"optimizer.step": torch.ones(1), "b": torch.ones(1)})),
        ["unexpected: 2", "optimizer.step", "\n    b\n"],
    ),
    "misshapen keys": (
        lambda d: change_weights(
            d,
            lambda t: t.update(
                {"mlp1.1.weight": torch.ones(2, 3), "vision_model.encoder.layers.0.attn.qkv.bias": torch.ones(7)}
            ),
        ),
        ["of another shape: 2", "mlp1.1.weight [2, 3]", "[96, 256]", "layers.0.attn.qkv.bias [7]"],
    ),
    "many wrong keys": (
        lambda d: change_weights(d, lambda t: t.update({f"more.{n}": torch.ones(1) for n in range(50)})),
        ["unexpected: 50", "… and 38 more"],
    ),
    "the same key in two files": (copy_weights, ["model-00002-of-00002.safetensors:b", "is also in model-00001"]),
    "index of a missing file": (name_in_index("gone.safetensors"), ["gone.safetensors", "is missing", INDEX]),
    "index of a file outside": (name_in_index("../outside.safetensors"), [INDEX, "../outside.safetensors"]),
    "index of a number": (name_in_index(3), [INDEX, "is not a file name"]),
    "index that is none": (lambda d: (d / INDEX).write_text("[1]"), [INDEX, "is not an index of weights"]),
    "no tokenizer": (lambda d: (d / "tokenizer.json").unlink(), ["has neither tokenizer.json nor tokenizer.model"]),
    "broken tokenizer": (lambda d: (d / "tokenizer.json").write_text("{}"), ["tokenizer.json", "cannot be read"]),
    "tokenizer without [SEG]": (without_seg, ["the tokenizer has no token [SEG]"]),
}


@pytest.mark.parametrize(("change", "reported"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_checkpoint_is_refused_by_name(copied: Copy, change: Change, reported: list[str]) -> None:
    directory = copied()
    change(directory)
    with pytest.raises(RefSavError) as refused:
        Sa2VA.from_pretrained(directory, device="cpu")
    message = str(refused.value)
    assert all(part in message for part in reported), message
    assert str(directory) in message
    if "embed_dims" not in message:
        assert isinstance(refused.value, RecordError)
        assert "\n  fix: " in message


WRONG_VALUES: tuple[Any, ...] = (..., None, "x", [1], -3, {})
"""The first leaves the key out."""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_value_in_config_json_is_no_crash(copied: Copy, family: str) -> None:
    directory = copied(family)
    path = directory / "config.json"
    whole, tokenizer = json.loads(path.read_text()), read_tokenizer(directory)
    refused = 0
    for number, place in enumerate(places_in(whole)):
        *outer, last = place
        config = json.loads(json.dumps(whole))
        holder = config
        for key in outer:
            holder = holder[key]
        wrong = WRONG_VALUES[number % len(WRONG_VALUES)]
        if wrong is ...:
            del holder[last]
        else:
            holder[last] = wrong
        path.write_text(json.dumps(config))
        with suppress(RefSavError):  # whose message names the directory, as above
            architecture = Architecture.read(directory)
            architecture.adapter(empty(architecture.build_mllm), tokenizer)
            continue
        refused += 1
    assert refused > 20


def places_in(values: Mapping[str, Any], *outer: str) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*outer, key)
        if isinstance(value, dict):
            yield from places_in(value, *outer, key)
