"""RefSAV as a service on one machine: Prefect's server, a worker, the deployments; started and ended, nothing else."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx

from refsav.errors import ConfigError, RefSavError
from refsav.files import DiskError
from refsav.lock import exclusive
from refsav.service.folder import Service, ServiceFolder
from refsav.service.marked_processes import MARK, end, values_of
from refsav.service.prefect_api import PrefectApi

POOL = "refsav"
"""The work pool of prefect.yaml."""

READY_WITHIN_S = 180.0
DEPLOYED_WITHIN_S = 300.0
LOOK_EVERY_S = 0.2

PARTS = ("server", "worker")
"""In the order in which they are started."""

FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""What Prefect tells the process of a flow run."""

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Who holds a deployment's place must survive the server: else it is taken for ever, and its holder is ended.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_CLIENT_MAX_RETRIES": "10",  # a build waits some minutes for a server that is started again
}
"""Settings of Prefect; what the environment says wins."""


class ServiceError(RefSavError):
    """A part of the service did not come up."""


def start(folder: ServiceFolder, deployments: Path, port: int, *, tell: Callable[[str], None]) -> Service:
    """Start what does not run yet, and deploy what its server does not have yet.

    Args:
        folder: Where the service keeps its state.
        deployments: prefect.yaml; relative paths in it are taken from the present working directory.
        port: Of the server, on 127.0.0.1.
        tell: Gets a line for each step.

    Raises:
        ConfigError: If there is no such file, the port is taken, or a server that runs asks for a password.
        RecordError: If the folder's state cannot be read.
        ServiceError: If a part does not come up, or the deployments are refused; what runs then, `stop` ends.
        LockedError: If somebody else starts or stops it just now.
        DiskError: If the folder cannot be written.
    """
    with exclusive(folder.root, "service"):
        wanted = _digest_of(deployments)
        service = folder.read()
        running = {name: service.processes[name] for name in PARTS if folder.runs(service, name)}
        # What is left of it stays where it is: a worker goes on with its build, and finds the server where it was.
        address = service.address if running else f"http://127.0.0.1:{port}"
        service = replace(service, address=address, processes=running)
        if "server" not in running:
            tell("starting Prefect's server; the first time this takes half a minute")
            service = _begin_server(folder, service)
        _wait_for(folder, service, "server", "health")
        if "worker" not in running:
            _free_places(service, tell)
            tell("starting a worker")
            service = _begin(folder, service, "worker", ("worker", "start", "--pool", POOL, "--type", "process"))
        _wait_for(folder, service, "worker", f"work_pools/{POOL}")
        if service.deployed != wanted:
            tell(f"deploying {deployments}")
            _deploy(folder, service, deployments)
            service = replace(service, deployed=wanted)
            folder.write(service)
        return service


def stop(folder: ServiceFolder) -> list[str]:
    """End what `start` has started, the worker with its flows first; name what was ended.

    Raises:
        LockedError: If somebody else starts or stops it just now.
        DiskError: If the folder cannot be written.
    """
    if not folder.root.is_dir():
        return []
    with exclusive(folder.root, "service"):
        try:
            processes = folder.read().processes
        except RefSavError:  # the marks tell as much, but for who goes first
            processes = {}
        ended = [name for name in reversed(PARTS) if end(processes.get(name), folder.mark(name))]
        folder.state.unlink(missing_ok=True)
        return ended


def _digest_of(deployments: Path) -> str:
    """Digest what is deployed, and from where: its paths start there."""
    try:
        content = deployments.read_bytes()
    except OSError as error:
        problem = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        fix = "run this in a clone of RefSAV, or name a file with --deployments"
        raise ConfigError(f"{deployments}: {problem}\n  fix: {fix}") from None
    return hashlib.sha256(os.fsencode(f"{Path.cwd()}\0{deployments}\0") + content).hexdigest()


def _environment(folder: ServiceFolder, service: Service) -> Mapping[str, str]:
    # A page of somebody else that is open in the same browser must not speak to the API, which can start anything.
    own_pages = f"{service.address},http://localhost:{service.port}"
    home = {"PREFECT_HOME": str(folder.prefect.resolve()), "PREFECT_API_URL": service.api}
    return {**DEFAULTS, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": own_pages, **os.environ, **home}


def _begin_server(folder: ServiceFolder, service: Service) -> Service:
    _refuse_taken_port(service.port)
    # Who was deployed to is the database in the folder; it may have been deleted meanwhile.
    service = replace(service, deployed="")
    arguments = ("server", "start", "--host", "127.0.0.1", "--port", str(service.port))
    return _begin(folder, service, "server", arguments)


def _begin(folder: ServiceFolder, service: Service, name: str, arguments: Sequence[str]) -> Service:
    """Start one part and write it down; killed in between, `stop` finds it all the same, by its mark."""
    try:
        with folder.log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_environment(folder, service), MARK: folder.mark(name)},
                start_new_session=True,  # Ctrl-C in this terminal is not meant for it
            )
    except OSError as error:
        raise DiskError(folder.log(name), error) from error
    service = replace(service, processes={**service.processes, name: process.pid})
    folder.write(service)
    return service


def _wait_for(folder: ServiceFolder, service: Service, name: str, path: str) -> None:
    """Wait until the server answers a question well."""
    end_s = time.monotonic() + READY_WITHIN_S
    with PrefectApi(service.api) as api:
        while folder.runs(service, name):
            if api.answers(path):
                return
            if time.monotonic() > end_s:
                problem = f"the {name} is not ready after {READY_WITHIN_S:.0f} s"
                raise ServiceError(f"{problem}\n{folder.last_words(name)}")
            time.sleep(LOOK_EVERY_S)
    raise ServiceError(f"the {name} has ended\n{folder.last_words(name)}")


def _free_places(service: Service, tell: Callable[[str], None]) -> None:
    """Let new runs begin in place of those that have died with their worker: Prefect would wait for five minutes."""
    with PrefectApi(service.api) as api, suppress(httpx.HTTPError):
        if dead := api.crash_runs(POOL, values_of(FLOW_RUN)):
            tell(f"noting {dead} {'run' if dead == 1 else 'runs'} as crashed, which died with the worker")


def _deploy(folder: ServiceFolder, service: Service, deployments: Path) -> None:
    line = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(deployments)]
    environment = _environment(folder, service)
    with folder.log("deploy").open("wb") as log:
        try:
            done = subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=DEPLOYED_WITHIN_S,
                check=False,
            )
            problem = f"ended with status {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            problem = f"was not done after {DEPLOYED_WITHIN_S:.0f} s"
    if problem:
        raise ServiceError(f"prefect deploy of {deployments} {problem}\n{folder.last_words('deploy')}")


def _refuse_taken_port(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        problem = f"127.0.0.1:{port} cannot be listened on: {os.strerror(error.errno or 0)}"
        fix = "end what listens there, or choose another --port (after refsav down, if a part of this service runs)"
        raise ConfigError(f"{problem}\n  fix: {fix}") from None
