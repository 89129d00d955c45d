"""Checkpoints that a training resumes from: trained weights, AdamW's state, and the number of steps.

A checkpoint is a folder RUN/checkpoints/step-000100, which appears complete or not at all:

    learnt.safetensors     trainable weights with the adapters; the frozen ones are in the initial model
    optimizer.safetensors  AdamW's state, by the names of those weights
    state.json             steps done, and the digest of the initial model's configuration and tokenizer

Learning rate, order of examples, dropout and sampled points depend only on the number of steps; nothing else is saved.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from refsav.disk.files import DiskError, appearing_folder
from refsav.errors import RecordError
from refsav.model.training.loop import Training
from refsav.model.training_step.lora_and_freezing import with_lora_merged

LEARNT, OPTIMIZER, STATE = "learnt.safetensors", "optimizer.safetensors", "state.json"
OURS = "model."
"""Prefix that `TrainingForward` adds to the names of weights."""

NAMED = 8
"""Differences that an error lists; the others are counted."""

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""All weights on the first device, gathered from all devices; nothing on the others."""


def save(training: Training, folder: Path) -> None:
    """Write a checkpoint. All processes call this, the main process writes.

    Raises:
        DiskError: If the disk is full, or the folder cannot be written; an earlier checkpoint stays.
    """
    weights = _trained_weights(training)
    adamw: Any = get_optimizer_state_dict(training.forward, training.optimizer.optimizer, options=WHOLE)
    if training.accelerator.is_main_process:
        moments = adamw["state"].items()
        flat = {f"{name}.{kind}": tensor for name, state in moments for kind, tensor in state.items()}
        content = {"step": training.done, "origin": origin_digest(training)}
        with appearing_folder(folder) as temporary:
            _write(temporary / LEARNT, weights)
            _write(temporary / OPTIMIZER, {name.removeprefix(OURS): tensor for name, tensor in flat.items()})
            (temporary / STATE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    training.accelerator.wait_for_everyone()


def restore(training: Training, folder: Path) -> None:
    """Restore a training from a checkpoint.

    Raises:
        RecordError: If the checkpoint is damaged, or of another configuration: the error lists keys and shapes.
    """
    state = _read_state(folder)
    weights: dict[str, Tensor] = {}
    adamw: dict[str, Any] = {}
    optimizer = training.optimizer.optimizer
    known = get_optimizer_state_dict(training.forward, optimizer, options=WHOLE)
    if training.accelerator.is_main_process:  # the others get theirs from it
        weights = _read(folder / LEARNT)
        _refuse_other(folder, state, weights, training)
        adamw = {"state": _by_name(_read(folder / OPTIMIZER)), "param_groups": known["param_groups"]}
    several = training.plan.devices > 1
    options = StateDictOptions(full_state_dict=True, strict=False, broadcast_from_rank0=several)
    set_model_state_dict(training.forward, {OURS + name: one for name, one in weights.items()}, options=options)
    set_optimizer_state_dict(training.forward, optimizer, adamw, options=options)
    training.done = state["step"]


def _by_name(flat: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    state: dict[str, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        name, _, kind = key.rpartition(".")
        state.setdefault(OURS + name, {})[kind] = tensor
    return state


def checkpoints_in(folder: Path) -> list[Path]:
    """List the checkpoints of a folder, in the order of their steps."""
    found = {path: re.fullmatch(r"step-(\d{6,})", path.name) for path in folder.glob("step-*") if path.is_dir()}
    return sorted((path for path, match in found.items() if match), key=lambda path: int(path.name[5:]))


def prune(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the last `keep`. Raises DiskError."""
    for path in checkpoints_in(folder)[:-keep]:
        try:
            gone = path.with_name(f".{path.name}.part")
            path.rename(gone)  # a killed process must not leave a partial checkpoint under this name
            shutil.rmtree(gone)
        except OSError as error:
            raise DiskError(path, error) from error


def export(training: Training, directory: Path) -> None:
    """Write the trained model to a new directory, with adapters merged and in the type of the initial model.

    All processes call this, the main process writes. Raises DiskError.
    """
    state: Any = get_model_state_dict(training.forward, options=WHOLE)
    if training.accelerator.is_main_process:
        lora = training.config.lora
        ours = {name.removeprefix(OURS): tensor for name, tensor in state.items()}
        with appearing_folder(directory) as temporary:
            training.model.save_pretrained(
                temporary, state=with_lora_merged(ours, lora.alpha / lora.rank), dtype=training.dtype
            )
    training.accelerator.wait_for_everyone()


def origin_digest(training: Training) -> str:
    """SHA-256 of the configuration and tokenizer of the initial model."""
    digest = hashlib.sha256()
    for name, content in sorted(training.model.assets.content.items()):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _trained_weights(training: Training) -> dict[str, Tensor]:
    trainable = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    found: Any = get_model_state_dict(training.forward, options=trainable)
    names = {OURS + name for name in training.trainable}
    return {name.removeprefix(OURS): tensor for name, tensor in found.items() if name in names}


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    except SafetensorError as error:  # it wraps the OSError
        raise OSError(str(error)) from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error)) from None


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / STATE
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    kinds = {"step": int, "origin": str}
    if not isinstance(state, dict) or any(not isinstance(state.get(key), kind) for key, kind in kinds.items()):
        raise _damaged(path, "has no step or no origin")
    return state


def _damaged(path: Path, problem: str) -> RecordError:
    fix = f"remove {path.parent.name}: training then resumes from the previous checkpoint"
    return RecordError(path, "", f"is damaged: {problem}", fix)


def _refuse_other(folder: Path, state: Mapping[str, Any], weights: Mapping[str, Tensor], training: Training) -> None:
    """Raise RecordError if a checkpoint has other trainable weights, or was made from another initial model."""
    here = {name: tuple(shape) for name, shape in training.trainable.items()}
    there = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    common = [name for name in here if name in there]
    problems = [
        *(
            f"{name} has shape {list(there[name])}, the model {list(here[name])}"
            for name in common
            if here[name] != there[name]
        ),
        *(f"{name} is missing" for name in here if name not in there),
        *(f"{name} is frozen in this configuration" for name in there if name not in here),
    ]
    if not problems and state["origin"] != origin_digest(training):
        problems = ["config.json or the tokenizer of the initial model has changed"]
    if problems:
        more = f"\n  and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        listed = "".join(f"\n  {one}" for one in problems[:NAMED]) + more
        fix = "train with the configuration of this run, or into a new run directory"
        raise RecordError(folder, "", f"is a checkpoint of another configuration{listed}", fix)
