"""The devices of a training: one process each, which must all decide alike."""

from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import ProjectConfiguration, broadcast_object_list

from refsav.model.training.metrics import trackers
from refsav.model.training_config import WatchingConfig

PROJECT = "refsav"
"""What trackers call all trainings together; one of them has the name of its folder."""

Found = TypeVar("Found")


def find_devices(root: Path, curves: Path, watching: WatchingConfig, *, cpu: bool) -> Accelerator:
    """Find the devices, as many as `accelerate launch` has started processes for.

    Args:
        root: Run directory of the training.
        curves: Where trackers write.
        watching: Which they are.
        cpu: Leave GPUs alone.
    """
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="no",  # Teacher knows what may be computed in bfloat16, sharded or not
        log_with=trackers(watching) or None,
        project_config=ProjectConfiguration(project_dir=str(root), logging_dir=str(curves)),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if plugin := getattr(accelerator.state, "fsdp_plugin", None):
        plugin.cpu_ram_efficient_loading = False  # it takes all that is saved for weights; SAM-2 has buffers too
    return accelerator


def begin_curves(accelerator: Accelerator, root: Path) -> None:
    """Let the trackers begin, under the name of the run directory."""
    accelerator.init_trackers(PROJECT, init_kwargs={"wandb": {"name": root.resolve().name}})


def as_first_finds(found: Found) -> Found:
    """Go by what the first process finds: the others may look before it, or after it has written."""
    decided: list[Found] = broadcast_object_list([found])
    return decided[0]
