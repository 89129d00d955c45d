"""RefSAV as a service on one machine: start and stop Prefect's server, a worker and the deployments."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx

from refsav.disk.files import DiskError
from refsav.disk.lock import exclusive
from refsav.errors import ConfigError, RefSavError
from refsav.processes.child_process import child_process, port_problem, start_process, wait_until_ready
from refsav.processes.marked_processes import MARK, end_marked, values_of
from refsav.service.directory import Service, ServiceDirectory
from refsav.service.prefect_api import PrefectApi

POOL = "refsav"
"""The work pool of prefect.yaml."""

READY_WITHIN_S = 180.0
DEPLOYED_WITHIN_S = 300.0

PROCESSES = ("server", "worker")
"""In the order in which they are started."""

FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""Environment variable with which Prefect marks the process of a flow run."""

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Which run occupies a deployment's slot must survive the server: else the slot is never freed, and its run ends.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_CLIENT_MAX_RETRIES": "10",  # a build waits some minutes for a server that is restarted
}
"""Settings of Prefect; variables of the environment override them."""


def start(directory: ServiceDirectory, deployments: Path, port: int, *, report: Callable[[str], None]) -> Service:
    """Start the processes that do not run yet, and deploy what the server does not have yet.

    Args:
        directory: Where the service keeps its state.
        deployments: prefect.yaml; relative paths in it start at the current working directory.
        port: Port of the server, on 127.0.0.1.
        report: Gets a line for each step.

    Raises:
        ConfigError: If there is no such file, the port is taken, or a running server requires a password.
        RecordError: If the directory's state cannot be read.
        ServiceError: If a process does not become ready, or the deployments are refused; `stop` ends what runs then.
        LockedError: If another command starts or stops the service at the same time.
        DiskError: If the directory cannot be written.
    """
    with exclusive(directory.root, "service"):
        digest = _digest_of(deployments)
        service = directory.read()
        running = {name: service.processes[name] for name in PROCESSES if directory.runs(service, name)}
        # What still runs keeps its address: a worker continues its build, and finds the server where it was.
        address = service.address if running else f"http://127.0.0.1:{port}"
        service = replace(service, address=address, processes=running)
        if "server" not in running:
            report("starting Prefect's server; the first time this takes half a minute")
            service = _start_server(directory, service)
        _wait_for(directory, service, "server", "health")
        if "worker" not in running:
            _crash_orphaned_runs(service, report)
            report("starting a worker")
            arguments = ("worker", "start", "--pool", POOL, "--type", "process")
            service = _start_process(directory, service, "worker", arguments)
        _wait_for(directory, service, "worker", f"work_pools/{POOL}")
        if service.deployed != digest:
            report(f"deploying {deployments}")
            _deploy(directory, service, deployments)
            service = replace(service, deployed=digest)
            directory.write(service)
        return service


def stop(directory: ServiceDirectory) -> list[str]:
    """End what `start` has started, the worker with its flows first, and return the names of what was ended.

    Raises:
        LockedError: If another command starts or stops the service at the same time.
        DiskError: If the directory cannot be written.
    """
    if not directory.root.is_dir():
        return []
    with exclusive(directory.root, "service"):
        try:
            processes = directory.read().processes
        except RefSavError:  # the marks identify the processes too, but not the one to end first
            processes = {}
        ended = [name for name in reversed(PROCESSES) if end_marked(processes.get(name), directory.mark(name))]
        directory.state.unlink(missing_ok=True)
        return ended


def _digest_of(deployments: Path) -> str:
    """Digest the deployments and the working directory, which their paths are relative to."""
    try:
        content = deployments.read_bytes()
    except OSError as error:
        problem = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        fix = "run this in a clone of RefSAV, or name a file with --deployments"
        raise ConfigError(problem, fix=fix, path=deployments) from None
    return hashlib.sha256(os.fsencode(f"{Path.cwd()}\0{deployments}\0") + content).hexdigest()


def _environment(directory: ServiceDirectory, service: Service) -> Mapping[str, str]:
    # A foreign page that is open in the same browser must not reach the API, which can start any command.
    own_pages = f"{service.address},http://localhost:{service.port}"
    home = {"PREFECT_HOME": str(directory.prefect.resolve()), "PREFECT_API_URL": service.api}
    return {**DEFAULTS, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": own_pages, **os.environ, **home}


def _start_server(directory: ServiceDirectory, service: Service) -> Service:
    if problem := port_problem("127.0.0.1", service.port):
        fix = "end what listens there, or choose another --port (after refsav down, if a part of this service runs)"
        raise ConfigError(problem, fix=fix)
    # The deployments are in the database in the directory, which may have been deleted meanwhile.
    service = replace(service, deployed="")
    arguments = ("server", "start", "--host", "127.0.0.1", "--port", str(service.port))
    return _start_process(directory, service, "server", arguments)


def _start_process(directory: ServiceDirectory, service: Service, name: str, arguments: Sequence[str]) -> Service:
    """Start one process and record it; if this is killed in between, `stop` finds the process by its mark."""
    environment = {**_environment(directory, service), MARK: directory.mark(name)}
    try:
        process = start_process(_prefect(*arguments), environment=environment, log=directory.log(name))
    except OSError as error:
        raise DiskError(directory.log(name), error) from error
    service = replace(service, processes={**service.processes, name: process.pid})
    directory.write(service)
    return service


def _wait_for(directory: ServiceDirectory, service: Service, name: str, path: str) -> None:
    """Wait until the server answers a request for `path`, which a process of the service provides."""
    with PrefectApi(service.api) as api:
        state = wait_until_ready(lambda: api.answers(path), lambda: directory.runs(service, name), READY_WITHIN_S)
    if state != "ready":
        problem = "has ended" if state == "ended" else f"is not ready after {READY_WITHIN_S:.0f} s"
        raise directory.error(f"the {name} {problem}", name)


def _crash_orphaned_runs(service: Service, report: Callable[[str], None]) -> None:
    """Mark the runs that have died with their worker as crashed: Prefect would block new runs for five minutes."""
    with PrefectApi(service.api) as api, suppress(httpx.HTTPError):
        if dead := api.crash_runs(POOL, values_of(FLOW_RUN)):
            report(f"marking {dead} {'run' if dead == 1 else 'runs'} as crashed, which died with the worker")


def _deploy(directory: ServiceDirectory, service: Service, deployments: Path) -> None:
    command = _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(deployments))
    log = directory.log("deploy")
    log.unlink(missing_ok=True)
    try:
        with child_process(command, environment=_environment(directory, service), log=log) as process:
            status = process.wait(DEPLOYED_WITHIN_S)
        problem = f"ended with status {status}" if status else ""
    except subprocess.TimeoutExpired:
        problem = f"was not done after {DEPLOYED_WITHIN_S:.0f} s"
    except OSError as error:
        raise DiskError(log, error) from error
    if problem:
        raise directory.error(f"prefect deploy of {deployments} {problem}", "deploy")


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *arguments]
