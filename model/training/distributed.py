"""The devices of a training: one process each, and all processes must take the same decisions."""

from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import ProjectConfiguration, broadcast_object_list

from refsav.model.training.metrics import trackers
from refsav.model.training_config import MetricsConfig

PROJECT = "refsav"
"""Name of the project in trackers; a training has the name of its run directory."""

Value = TypeVar("Value")


def make_accelerator(root: Path, curves: Path, watching: MetricsConfig, *, cpu: bool) -> Accelerator:
    """Set up accelerate for this process, one of as many as `accelerate launch` has started.

    Args:
        root: Run directory of the training.
        curves: Folder that trackers write to.
        watching: Which trackers are used.
        cpu: Do not use GPUs.
    """
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="no",  # TrainingForward decides what is computed in bfloat16, sharded or not
        log_with=trackers(watching) or None,
        project_config=ProjectConfiguration(project_dir=str(root), logging_dir=str(curves)),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if plugin := getattr(accelerator.state, "fsdp_plugin", None):
        plugin.cpu_ram_efficient_loading = False  # it takes everything in the state for weights; SAM-2 has buffers too
    return accelerator


def start_trackers(accelerator: Accelerator, root: Path) -> None:
    """Start the trackers, with the name of the run directory."""
    accelerator.init_trackers(PROJECT, init_kwargs={"wandb": {"name": root.resolve().name}})


def from_main_process(value: Value) -> Value:
    """Return the value that the main process has: the others may look at files before or after it has written them."""
    decided: list[Value] = broadcast_object_list([value])
    return decided[0]
