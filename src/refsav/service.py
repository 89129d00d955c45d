"""RefSAV as a service on one machine: Prefect's server, a worker, the deployments; started and ended, nothing else.

What was started is written down with its process id and the time of its start, so that an id that the system has given
to somebody else meanwhile is never ended.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
from pydantic import TypeAdapter, ValidationError

from refsav.errors import ConfigError, RecordError, RefSavError
from refsav.files import DiskError, write_bytes
from refsav.lock import exclusive

POOL = "refsav"
"""The work pool of prefect.yaml."""

READY_WITHIN_S = 180.0
DEPLOYED_WITHIN_S = 300.0
ENDS_WITHIN_S = 30.0
"""Seconds for a build to end in good order; nothing is lost when it is cut off."""
LOOK_EVERY_S = 0.2
SAME_START_WITHIN_S = 2.0
"""The system tells a start in ticks since it was booted; a clock that is set moves it a little."""
TOLD_CHARACTERS = 2000

PARTS = ("server", "worker")

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A process that was started."""

    name: str
    """server or worker."""
    process_id: int
    started_s: float
    """When it was started, in seconds since 1970."""

    @classmethod
    def of(cls, name: str, process_id: int) -> "Part":
        """Describe a process that runs."""
        return cls(name=name, process_id=process_id, started_s=psutil.Process(process_id).create_time())

    def process(self) -> psutil.Process | None:
        """Give the process, or None if it has ended, whoever has its id now."""
        with suppress(psutil.Error):
            found = psutil.Process(self.process_id)
            same = abs(found.create_time() - self.started_s) < SAME_START_WITHIN_S
            if same and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What runs; kept in the service's folder."""

    address: str
    """Of the page that a browser opens; its API is below /api."""
    parts: tuple[Part, ...]

    @property
    def api(self) -> str:
        """For PREFECT_API_URL."""
        return f"{self.address}/api"


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """Where a service keeps its state, its logs and Prefect's database."""

    root: Path

    @property
    def state(self) -> Path:
        """What runs."""
        return self.root / "service.json"

    @property
    def prefect(self) -> Path:
        """Prefect's own folder: its database."""
        return self.root / "prefect"

    def log(self, name: str) -> Path:
        """What a part of the service says."""
        return self.root / f"{name}.log"

    def read(self) -> Service | None:
        """Read what was started; None if that is nothing. Raises RecordError."""
        try:
            return _SERVICE.validate_json(self.state.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            fix = "end what is left of the service by hand (ps), and delete this file"
            raise RecordError(self.state, "", f"cannot be read: {error}", fix) from None

    def write(self, service: Service) -> None:
        """Write down what was started. Raises DiskError."""
        write_bytes(self.state, _SERVICE.dump_json(service, indent=1) + b"\n")


def start(folder: ServiceFolder, deployments: Path, port: int, *, tell: Callable[[str], None]) -> Service:
    """Start what does not run yet, and deploy; a service that runs is left alone.

    Args:
        folder: Where the service keeps its state.
        deployments: prefect.yaml; relative paths in it are taken from the present working directory.
        port: Of the server, on 127.0.0.1.
        tell: Gets a line for each step.

    Raises:
        ConfigError: If there is no such file, or the port is taken.
        ServiceError: If a part does not come up, or the deployments are refused; what runs then, `stop` ends.
        LockedError: If somebody else starts or stops it just now.
    """
    with exclusive(folder.root):
        service = folder.read() or Service(address="", parts=())
        running = {part.name: part for part in service.parts if part.process()}
        if running.keys() == set(PARTS):
            return service
        if not deployments.is_file():
            fix = "run this in a clone of RefSAV, or name a file with --deployments"
            raise ConfigError(f"{deployments}: there is no such file\n  fix: {fix}")
        # What is left of it stays where it is: a worker goes on with its build, and finds the server where it was.
        address = service.address if running else f"http://127.0.0.1:{port}"
        service = Service(address=address, parts=tuple(running.values()))
        if "server" not in running:
            tell("starting Prefect's server; the first time this takes half a minute")
            service = _begin_server(folder, service)
        _wait_for(folder, service, "server", "health")
        if "worker" not in running:
            tell("starting a worker")
            service = _begin(folder, service, "worker", ("worker", "start", "--pool", POOL, "--type", "process"))
        _wait_for(folder, service, "worker", f"work_pools/{POOL}")
        tell(f"deploying {deployments}")
        _deploy(folder, service, deployments)
        return service


def stop(folder: ServiceFolder) -> list[str]:
    """End what `start` has started, the worker with its flows first; name what was ended.

    Raises:
        RecordError: If the folder's state cannot be read.
        LockedError: If somebody else starts or stops it just now.
    """
    if not folder.state.exists():
        return []
    with exclusive(folder.root):
        service = folder.read()
        parts = sorted(service.parts, key=lambda part: part.name, reverse=True) if service else []
        ended = [part.name for part in parts if _end(part)]
        folder.state.unlink(missing_ok=True)
        return ended


def _environment(folder: ServiceFolder, service: Service) -> Mapping[str, str]:
    home = {"PREFECT_HOME": str(folder.prefect.resolve()), "PREFECT_API_URL": service.api}
    return {**DEFAULTS, **os.environ, **home}


def _begin_server(folder: ServiceFolder, service: Service) -> Service:
    port = service.address.rpartition(":")[2]
    _refuse_taken_port(int(port))
    return _begin(folder, service, "server", ("server", "start", "--host", "127.0.0.1", "--port", port))


def _begin(folder: ServiceFolder, service: Service, name: str, arguments: Sequence[str]) -> Service:
    """Start one part and write it down at once: whatever happens next, `stop` finds it."""
    try:
        with folder.log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(folder, service),
                start_new_session=True,  # Ctrl-C in this terminal is not meant for it
            )
    except OSError as error:
        raise DiskError(folder.log(name), error) from error
    service = replace(service, parts=(*service.parts, Part.of(name, process.pid)))
    folder.write(service)
    return service


def _wait_for(folder: ServiceFolder, service: Service, name: str, path: str) -> None:
    """Wait until the server answers a question well."""
    end = time.monotonic() + READY_WITHIN_S
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while any(part.name == name and part.process() for part in service.parts):
            with suppress(httpx.TransportError):
                if client.get(f"{service.api}/{path}").is_success:
                    return
            if time.monotonic() > end:
                raise ServiceError(f"the {name} is not ready after {READY_WITHIN_S:.0f} s\n{_last_words(folder, name)}")
            time.sleep(LOOK_EVERY_S)
    raise ServiceError(f"the {name} has ended\n{_last_words(folder, name)}")


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
        raise ServiceError(f"prefect deploy of {deployments} {problem}\n{_last_words(folder, 'deploy')}")


def _refuse_taken_port(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        problem = f"127.0.0.1:{port} cannot be listened on: {os.strerror(error.errno or 0)}"
        raise ConfigError(f"{problem}\n  fix: end what listens there, or choose another --port") from None


def _end(part: Part) -> bool:
    """End a process and all that it has started; tell whether it ran."""
    process = part.process()
    if process is None:
        return False
    left = [process]
    with suppress(psutil.Error):
        left += process.children(recursive=True)
        process.terminate()
        process.wait(ENDS_WITHIN_S)
    for last_resort in (psutil.Process.terminate, psutil.Process.kill):
        _, left = psutil.wait_procs(left, timeout=0)
        for one in left:
            with suppress(psutil.Error):
                last_resort(one)
        _, left = psutil.wait_procs(left, timeout=ENDS_WITHIN_S)
    return True


def _last_words(folder: ServiceFolder, name: str) -> str:
    path = folder.log(name)
    text = path.read_text(encoding="utf-8", errors="replace")[-TOLD_CHARACTERS:]
    return "".join(f"  | {line}\n" for line in text.splitlines()) + f"  fix: see above; the whole log is {path}"


_SERVICE = TypeAdapter(Service)
