"""`refsav create`: create a checkpoint from sizes alone, or from a base model and a SAM-2, and describe it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from refsav.disk.files import DiskError
from refsav.errors import ConfigError, RecordError
from refsav.extras import require

if TYPE_CHECKING:
    from refsav.model.sa2va import Sa2VA

CHECKPOINT_FILES = (
    *("config.json", "generation_config.json", "*preprocessor_config.json", "*.safetensors", "*.index.json"),
    *("tokenizer*", "chat_template*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
)

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def create(
    origin: Path, target: Path, *, sam2: Path | None, allow_pickle: bool, keep_decoder: bool, seed: int, force: bool
) -> None:
    """Create a checkpoint, and describe it. Raises RefSavError if an input cannot be used."""
    _check(origin, sam2, keep_decoder=keep_decoder)
    _check_target(origin, target, force=force)
    require("model", "torch", "transformers", "sam2")
    with err.status("making the model", spinner="line"):
        if origin.is_dir() and sam2 is not None:
            from refsav.model.creation.from_base_models import from_base

            model = from_base(origin, sam2, allow_pickle=allow_pickle, keep_original_decoder=keep_decoder, seed=seed)
            untrained = "The [SEG] projection is not trained: until then its masks mean nothing"
        else:
            model = _from_sizes(origin, seed)
            untrained = "It is not trained: until then its answers and masks mean nothing"
    with err.status("writing the checkpoint", spinner="line"):
        _remove_checkpoint(target)
        model.save_pretrained(target)
    _print_outcome(model, target, untrained)


def _check(origin: Path, sam2: Path | None, *, keep_decoder: bool) -> None:
    if not origin.exists():
        fix = "give a TOML file of sizes, such as configs/models/pocket.toml, or the directory of a base model"
        raise RecordError(origin, "", "there is no such file or directory", fix)
    if origin.is_dir() and sam2 is None:
        raise ConfigError("a base model needs a SAM-2", fix="give its checkpoint with --sam2", path=origin)
    if not origin.is_dir() and (sam2 is not None or keep_decoder):
        problem = "--sam2 and --keep-decoder go with a base model, not with sizes"
        raise ConfigError(problem, fix="leave them out", path=origin)


def _check_target(origin: Path, target: Path, *, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise RecordError(target, "", "is a file, not a folder", "give another folder for the checkpoint")
    if origin.is_dir() and target.exists() and origin.resolve() == target.resolve():
        raise RecordError(target, "", "is the base model itself", "give another folder for the checkpoint")
    if not force and _held_by(target, "config.json", "*.safetensors"):
        raise RecordError(target, "", "holds a checkpoint already", "give another folder, or --force to overwrite it")


def _held_by(folder: Path, *names: str) -> list[Path]:
    return sorted(path for name in names for path in folder.glob(name)) if folder.is_dir() else []


def _remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint that is overwritten: its weights and tokenizer must not mix with the new ones."""
    for path in _held_by(folder, *CHECKPOINT_FILES):
        try:
            path.unlink()
        except OSError as error:
            raise DiskError(path, error) from error


def _from_sizes(path: Path, seed: int) -> "Sa2VA":
    from refsav.model.creation.create import create, usual_tokenizer
    from refsav.model.creation.model_sizes import ModelConfig

    config = ModelConfig.from_toml(path)
    return create(config, usual_tokenizer(config), seed)


def _print_outcome(model: "Sa2VA", target: Path, untrained: str) -> None:
    from refsav.model.creation.create import parameters_by_part

    counts = parameters_by_part(model)
    out.print(f"family: {model.architecture.family}")
    out.print(f"parameters: {_count(sum(counts.values()))}")
    for part, count in counts.items():
        out.print(f"  {part}: {_count(count)}", markup=False)
    size = sum(path.stat().st_size for path in target.iterdir() if path.is_file())
    out.print(f"on disk: {_bytes(size)} in {escape(str(target))}")
    out.print(f"\n{untrained} (docs/pocket.ipynb trains a small one).", markup=False)
    out.print(f'Next: [bold]refsav predict {escape(shlex.quote(str(target)))} IMAGE "text"[/]')


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number < 1e9 else f"{number / 1e9:.2f} B"


def _bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"
