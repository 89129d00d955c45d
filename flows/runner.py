"""Where a build's tasks run: on threads of this process, or on a Ray cluster through prefect-ray."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext
from prefect.settings import get_current_settings

from refsav.errors import ConfigError
from refsav.extras import require
from refsav.flows.build_config import BuildConfig, RunnerConfig

LOCAL_CLUSTER = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
"""A cluster of a build's own says nothing in between: its lines would tear the progress bars."""


@contextmanager
def tasks_on(config: RunnerConfig) -> Iterator[None]:
    """Run the tasks that are submitted in this context where the configuration says.

    A flow names its task runner before its parameters are known, so the runner is put in place within the flow. What
    still runs on Ray when this context is left ends with it.
    """
    if config.kind == "local":
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is loaded
    from prefect_ray import RayTaskRunner

    flow_run = FlowRunContext.get()
    assert flow_run is not None, "tasks are submitted within a flow"  # noqa: S101 - our own bug otherwise
    with RayTaskRunner(config.address or None, _init(config)) as runner:
        with flow_run.model_copy(update={"task_runner": runner}):
            yield


def _init(config: RunnerConfig) -> dict[str, Any]:
    if config.address:
        return {"log_to_driver": False}
    return {"num_cpus": config.bundles_at_once, **LOCAL_CLUSTER}
