"""Where the tasks of a build run: on threads of this process, or on a Ray cluster through prefect-ray (docs/ray.md)."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from prefect.context import FlowRunContext
from prefect.settings import get_current_settings

from refsav.annotators.engines.config import EngineConfig
from refsav.errors import ConfigError, RefSavError
from refsav.extras import require
from refsav.flows.config.build import BuildConfig, RunnerConfig

OWN_CLUSTER_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # Ray's default, which it would announce each time
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's switch to listen on 127.0.0.1 only, on any system
}
OWN_CLUSTER: dict[str, Any] = {
    "include_dashboard": False,
    "object_store_memory": 100 * 2**20,  # results are paths and counts, so almost nothing passes through it
}
CONNECTION: dict[str, Any] = {
    "configure_logging": False,
    "log_to_driver": False,  # their lines would tear the progress bars
    "runtime_env": {"worker_process_setup_hook": "refsav.processes.memory.settle_memory"},
}

HEAD_ANSWERS_WITHIN_S = 20.0
CONNECTING = (
    "give the address that `ray start --head` prints, run the same Python and Ray as there, "
    "and set RAY_AUTH_MODE=token if it requires a token"
)
PACKAGES = ("ray", "prefect_ray")


class ClusterError(RefSavError):
    """Ray's cluster cannot be used."""


@contextmanager
def tasks_on(config: RunnerConfig) -> Iterator[None]:
    """Run the tasks that are submitted in this context where the configuration says.

    Prefect needs the runner of a flow before the flow's parameters are known, so the runner is replaced inside the
    flow. Tasks that still run on Ray when the context is left are ended.

    Raises:
        MissingExtraError: If Ray is not installed.
        ClusterError: If there is no cluster at the address, or a cluster of its own cannot be started.
    """
    if config.kind == "local":
        yield
        return
    require("ray", *PACKAGES)
    if not config.address:
        os.environ.update({key: os.environ.get(key, value) for key, value in OWN_CLUSTER_ENVIRONMENT.items()})
    from prefect_ray import RayTaskRunner  # reads the environment

    flow_run = FlowRunContext.get()
    if flow_run is None:
        raise RuntimeError("tasks are submitted within a flow")
    own = {} if config.address else {"num_cpus": config.bundles_at_once, **OWN_CLUSTER}
    require_head(config.address)
    runner = RayTaskRunner(config.address or "local", init_kwargs={**CONNECTION, **own})
    try:
        runner.__enter__()
    except Exception as error:  # Ray raises plain exceptions too
        where = config.address or "this machine"
        fix = CONNECTING if config.address else "free cores and memory of this machine, then run it again"
        raise ClusterError(f"Ray on {where} cannot be used: {error}", fix=fix) from error
    try:
        with flow_run.model_copy(update={"task_runner": runner}):
            yield
    finally:
        runner.__exit__(None, None, None)


def require_runner(config: RunnerConfig) -> None:
    """Check that tasks can run where the configuration says.

    Raises:
        MissingExtraError: If Ray is not installed.
        ConfigError: If Ray's nodes could not reach Prefect's API.
    """
    if config.kind == "local":
        return
    require("ray", *PACKAGES)
    if config.address and not get_current_settings().api.url:
        raise ConfigError(
            f"runner.address = {config.address!r}: the embedded Prefect server serves this machine only",
            fix="start `prefect server start --host ADDRESS` and set PREFECT_API_URL to what all nodes reach",
        )


def require_head(address: str) -> None:
    """Check that something listens at a cluster's address; Ray would try for minutes. Raises ClusterError."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if not parts.hostname or parts.port is None:  # empty, or "auto"
        return
    try:
        socket.create_connection((parts.hostname, parts.port), HEAD_ANSWERS_WITHIN_S).close()
    except OSError as error:
        raise ClusterError(f"Ray on {address} cannot be used: {error}", fix=CONNECTING) from None


def for_each_process(config: BuildConfig) -> BuildConfig:
    """Divide a server's request slots among the bundles that are annotated at the same time.

    On Ray each of them has its own process, and slots (annotators/engines/request_slots.py) belong to a process.
    """
    if config.runner.kind == "local":
        return config

    def shared(engine: EngineConfig) -> EngineConfig:
        slots = max(1, engine.in_flight_per_server // config.runner.bundles_at_once)
        return engine.model_copy(update={"in_flight_per_server": slots})

    return config.model_copy(update={"vlm": shared(config.vlm), "judge": shared(config.judge)})
