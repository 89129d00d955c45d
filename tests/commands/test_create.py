"""`refsav create`: what it prints, what it refuses, and what it leaves of a checkpoint that it overwrites."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.cli.main import main
from refsav.model.creation import from_base_models as base_models
from refsav.model.sa2va import Sa2VA
from tests.support.command import Finished
from tests.support.models.base_model import CONFIGS, SAM2, write_base, write_sam2

Command = Callable[..., Finished]
POCKET = CONFIGS / "pocket.toml"


@pytest.fixture
def create(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["refsav", "create", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        return Finished(int(exited.value.code or 0), printed.out, printed.err)

    return run


def test_sizes_become_a_model_with_its_own_tokenizer(create: Command, tmp_path: Path) -> None:
    out = tmp_path / "a pocket"
    done = create(POCKET, out, "--seed", "3")
    assert done.code == 0, done.err
    assert re.fullmatch(
        r"family: Qwen3-VL\nparameters: 4\.16 M\n  vision tower: 0\.37 M\n  language model: 0\.48 M\n"
        r"  SAM-2: 3\.27 M\n  \[SEG\] projection: 0\.03 M\n"
        rf"on disk: 16\.\d MB in {re.escape(str(out))}\n\n"
        r"It is not trained: until then its answers and masks mean nothing "
        r"\(docs/pocket\.ipynb trains a small one\)\.\n"
        rf"Next: refsav predict '{re.escape(str(out))}' IMAGE \"text\"\n",
        done.out,
    )
    assert Sa2VA.from_pretrained(out, device="cpu").architecture.family == "Qwen3-VL"
    weights = (out / "model.safetensors").read_bytes()
    for seed, same in (("3", True), ("4", False)):
        assert create(POCKET, tmp_path / seed, "--seed", seed).code == 0
        assert ((tmp_path / seed / "model.safetensors").read_bytes() == weights) == same


def test_a_base_model_and_a_sam2_become_one(create: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_models, "Sam2Config", lambda: SAM2)  # in place of the released size
    write_base(tmp_path / "base", "pocket-internvl")
    write_sam2(tmp_path / "sam2.pt")
    line = (tmp_path / "base", tmp_path / "out", "--sam2", tmp_path / "sam2.pt")
    refused = create(*line)
    assert refused.code == 1 and "sam2.pt: is a pickle, which is not read by default" in refused.err
    assert not (tmp_path / "out").exists()
    done = create(*line, "--allow-pickle", "--keep-decoder")
    assert done.code == 0, done.err
    assert "family: InternVL\n" in done.out and "  original mask decoder: 1.65 M\n" in done.out
    assert "The [SEG] projection is not trained: until then its masks mean nothing" in done.out
    assert Sa2VA.from_pretrained(tmp_path / "out", device="cpu").original_decoder is not None
    itself = create(tmp_path / "base", tmp_path / "base", "--sam2", tmp_path / "sam2.pt", "--force")
    assert "is the base model itself" in itself.err and (tmp_path / "base/model.safetensors").is_file()


def test_a_checkpoint_is_overwritten_only_by_force_and_then_as_a_whole(create: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert create(POCKET, out).code == 0
    (out / "model.safetensors").rename(out / "model-00001-of-00002.safetensors")
    (out / "model.safetensors.index.json").write_text("{}")
    (out / "added_tokens.json").write_text('{"<strange>": 5000}')
    refused = create(CONFIGS / "pocket-qwen25.toml", out)
    assert refused.code == 1
    assert refused.err == (
        f"error: {out}: holds a checkpoint already\n  fix: give another folder, or --force to overwrite it\n"
    )
    assert create(CONFIGS / "pocket-qwen25.toml", out, "--force").code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "notes.txt",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert Sa2VA.from_pretrained(out, device="cpu").architecture.family == "Qwen2.5-VL"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("family = 'Qwen3-VL'\n", "language: Field required"),
        ("family = 'LLaVA'\n", "'LLaVA' is not a supported family: use Qwen2.5-VL, Qwen3-VL or InternVL"),
        (POCKET.read_text() + "\n[tokenizer]\n", "tokenizer: there is no such key; did you mean tokenizer_size?"),
        (POCKET.read_text().replace("layers = 2", "layer = 2", 1), "language.layer: there is no such key"),
        ("[language\n", "is not TOML"),
    ],
)
def test_an_unusable_configuration_is_an_error(create: Command, tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "mine.toml").write_text(content)
    refused = create(tmp_path / "mine.toml", tmp_path / "out")
    assert refused.code == 1 and str(tmp_path / "mine.toml") in refused.err
    assert problem in refused.err and "Traceback" not in refused.err
    assert not (tmp_path / "out").exists()


def test_contradicting_options_are_reported_before_any_work(create: Command, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "file").write_text("")
    for line, problem in (
        ((tmp_path / "none.toml", tmp_path / "out"), "none.toml: there is no such file or directory"),
        ((tmp_path / "base", tmp_path / "out"), "a base model needs a SAM-2\n  fix: give its checkpoint with --sam2"),
        ((POCKET, tmp_path / "out", "--keep-decoder"), "go with a base model, not with sizes"),
        ((POCKET, tmp_path / "out", "--sam2", tmp_path / "file"), "go with a base model, not with sizes"),
        ((POCKET, tmp_path / "file"), "is a file, not a folder"),
        (
            (tmp_path / "base", tmp_path / "out", "--sam2", tmp_path / "file"),
            "base: is not a checkpoint: it has no config.json\n  fix: give the directory of a base model",
        ),
    ):
        refused = create(*line)
        assert refused.code == 1 and problem in refused.err, line
        assert not (tmp_path / "out").exists()
