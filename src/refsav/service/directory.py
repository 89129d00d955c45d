"""Paths of a service: its state, its logs and Prefect's database."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from refsav.disk.files import write_bytes
from refsav.errors import RecordError, RefSavError
from refsav.processes.child_process import quoted_log
from refsav.processes.marked_processes import is_marked


class ServiceError(RefSavError):
    """A process of the service did not become ready."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What was started; service.json."""

    address: str
    """Address of Prefect's page in a browser; its API is below /api."""
    processes: Mapping[str, int]
    """Process ids by name: server, worker."""
    deployed: str = ""
    """SHA-256 of the deployments that its server has; empty until it has them."""

    @property
    def api(self) -> str:
        """For PREFECT_API_URL."""
        return f"{self.address}/api"

    @property
    def port(self) -> int:
        """Port of the server, on 127.0.0.1."""
        return urlsplit(self.address).port or 0


@dataclass(frozen=True, slots=True)
class ServiceDirectory:
    """The directory of one service."""

    root: Path

    @property
    def state(self) -> Path:
        """What was started."""
        return self.root / "service.json"

    @property
    def prefect(self) -> Path:
        """PREFECT_HOME of the service, which holds its database."""
        return self.root / "prefect"

    def log(self, name: str) -> Path:
        """Output of a process of the service."""
        return self.root / f"{name}.log"

    def error(self, problem: str, name: str) -> ServiceError:
        """Return an error with this problem of a process, which quotes the end of its log."""
        log = self.log(name)
        return ServiceError(f"{problem}\n{quoted_log(log)}", fix=f"see the lines above; the complete log is {log}")

    def mark(self, name: str) -> str:
        """Mark of a process of this service, which all processes that it starts inherit."""
        return f"{name} of {self.root.resolve()}"

    def runs(self, service: Service, name: str) -> bool:
        """Check whether a process of the service runs."""
        return name in service.processes and is_marked(service.processes[name], self.mark(name))

    def read(self) -> Service:
        """Read what was started; nothing if there is no service. Raises RecordError."""
        try:
            return _SERVICE.validate_json(self.state.read_bytes())
        except FileNotFoundError:
            return Service(address="", processes={})
        except (OSError, ValidationError) as error:
            fix = "refsav down, which ends what runs and removes this file, then refsav up"
            raise RecordError(self.state, "", f"cannot be read: {error}", fix) from None

    def write(self, service: Service) -> None:
        """Record what was started. Raises DiskError."""
        write_bytes(self.state, _SERVICE.dump_json(service, indent=1) + b"\n")


_SERVICE = TypeAdapter(Service)
