"""Files of others: a SAM-2 beside a checkpoint is read by name, and code in what is read never runs."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from refsav.errors import RecordError
from refsav.model.sa2va import Sa2VA
from tests.support.models.reference import CASES, FAMILIES, Reference, write_pocket_checkpoint


def set_in_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("family", FAMILIES)
def test_code_in_a_checkpoint_is_never_run_and_never_asked_about(
    pocket_checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str
) -> None:
    directory, trace = Path(copytree(pocket_checkpoints(family), tmp_path / family)), tmp_path / "executed"
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    for kind in ("configuration", "modeling", "tokenization", "processing"):
        (directory / f"{kind}_evil.py").write_text(f"{code}class Evil: ...\n")
    automatic = {
        "AutoConfig": "configuration_evil.Evil",
        "AutoModel": "modeling_evil.Evil",
        "AutoModelForCausalLM": "modeling_evil.Evil",
        "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"],
        "AutoProcessor": "processing_evil.Evil",
        "AutoImageProcessor": "processing_evil.Evil",
    }
    set_in_json(directory / "config.json", auto_map=automatic)
    set_in_json(directory / "tokenizer_config.json", auto_map=automatic, tokenizer_class="Evil")
    if family == "internvl":
        config = json.loads((directory / "config.json").read_text())
        parts = {part: {**config[part], "auto_map": automatic} for part in ("llm_config", "vision_config")}
        set_in_json(directory / "config.json", **parts)
    (directory / "preprocessor_config.json").write_text(json.dumps({"auto_map": automatic}))

    def asked(*_: object) -> str:
        raise AssertionError("a question on the terminal")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.syspath_prepend(str(directory))
    model = Sa2VA.from_pretrained(directory, device="cpu")
    case = CASES["video_a"]
    assert model.generate_text(case.frames, [case.text], answers=[case.answer])[0].text == case.answer
    assert not trace.exists()


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_sam2s_own_decoder_is_read_from_a_file_of_its_own(
    pocket_checkpoints: Callable[[str], Path], references: dict[str, Reference], tmp_path: Path
) -> None:
    original = decoder_of(Sa2VA.from_pretrained(pocket_checkpoints("internvl"), device="cpu"))
    other = {name: tensor + 1 for name, tensor in original.items()}
    files = {
        "meta.pt": {"model": {f"sam_mask_decoder.{name}": tensor for name, tensor in other.items()}},
        "flat.pth": {f"sam_mask_decoder.{name}": tensor for name, tensor in other.items()},
        "wrapped.pt": {f"model.sam_mask_decoder.{name}": tensor for name, tensor in other.items()},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    save_file({**files["flat.pth"], "image_encoder.trunk.w": torch.ones(1)}, tmp_path / "meta.safetensors")
    for name in (*files, "meta.safetensors"):
        model = Sa2VA.from_pretrained(
            pocket_checkpoints("internvl"), device="cpu", original_sam2=tmp_path / name, allow_pickle=name in files
        )
        assert model.resolve_settings().propagation == "consistent"
        assert model.original_decoder is not None
        assert all(torch.equal(tensor, other[key]) for key, tensor in model.original_decoder.state_dict().items())
        assert all(torch.equal(tensor, original[key]) for key, tensor in decoder_of(model).items())
    both = tmp_path / "both"
    write_pocket_checkpoint(references["internvl"], both, two_decoders=True)
    model = Sa2VA.from_pretrained(both, device="cpu", original_sam2=tmp_path / "meta.safetensors")
    assert model.original_decoder is not None
    assert torch.equal(model.original_decoder.state_dict()["iou_token.weight"], other["iou_token.weight"])


def decoder_of(model: Sa2VA) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.sam2.sam_mask_decoder.state_dict().items()}


def test_a_file_without_that_decoder_is_refused_by_name(
    pocket_checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    def refusal(name: str, *, allow_pickle: bool = False) -> str:
        with pytest.raises(RecordError) as refused:
            Sa2VA.from_pretrained(
                pocket_checkpoints("internvl"), device="cpu", original_sam2=tmp_path / name, allow_pickle=allow_pickle
            )
        assert str(tmp_path / name) in str(refused.value)
        return str(refused.value)

    other = {"more.weight": torch.ones(3), "iou_token.weight": torch.ones(3)}
    torch.save({f"sam_mask_decoder.{name}": tensor for name, tensor in other.items()}, tmp_path / "meta.pt")
    save_file({"vision_model.a": torch.ones(1)}, tmp_path / "clip.safetensors")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "is a pickle, which is not read by default" in refusal("meta.pt")
    assert "has no sam_mask_decoder.*" in refusal("clip.safetensors")
    assert "there is no such file" in refusal("gone.pt")
    assert "there is no such file" in refusal("gone.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "clip.safetensors").read_bytes()[:-1])
    assert "truncated or damaged" in refusal("cut.safetensors")
    unfit = refusal("meta.pt", allow_pickle=True)
    for part in ("missing: 130", "unexpected: 1\n    sam_mask_decoder.more.weight", "iou_token.weight [3]: [3] where"):
        assert part in unfit
    assert "is damaged" in refusal("empty.pt", allow_pickle=True)
    assert "has no sam_mask_decoder.*" in refusal("list.pt", allow_pickle=True)


def test_a_pickle_that_would_run_code_is_refused_even_where_pickles_are_allowed(
    pocket_checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    trace, path = tmp_path / "executed", tmp_path / "evil.pt"
    torch.save({"model": {"sam_mask_decoder.a": torch.ones(1)}, "more": Evil(trace)}, path)
    with pytest.raises(RecordError, match=r"evil\.pt: holds more than tensors"):
        Sa2VA.from_pretrained(pocket_checkpoints("internvl"), device="cpu", original_sam2=path, allow_pickle=True)
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Evil(trace), protocol=2))
    with pytest.raises(RecordError, match=r"evil\.pt: holds more than tensors"):
        Sa2VA.from_pretrained(pocket_checkpoints("internvl"), device="cpu", original_sam2=path, allow_pickle=True)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # noqa: S301 - it is as evil as we say
    assert trace.exists()
