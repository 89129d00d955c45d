"""Where a service keeps what it has started, its logs and Prefect's database."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from refsav.errors import RecordError
from refsav.files import write_bytes
from refsav.service.marked_processes import is_marked

TOLD_CHARACTERS = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What was started; service.json."""

    address: str
    """Of the page that a browser opens; its API is below /api."""
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
        """Of the server, on 127.0.0.1."""
        return urlsplit(self.address).port or 0


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """The folder of one service."""

    root: Path

    @property
    def state(self) -> Path:
        """What was started."""
        return self.root / "service.json"

    @property
    def prefect(self) -> Path:
        """Prefect's own folder: its database."""
        return self.root / "prefect"

    def log(self, name: str) -> Path:
        """What a part of the service says."""
        return self.root / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Give the end of a log, to be shown below an error."""
        path = self.log(name)
        text = path.read_text(encoding="utf-8", errors="replace")[-TOLD_CHARACTERS:]
        return "".join(f"  | {line}\n" for line in text.splitlines()) + f"  fix: see above; the whole log is {path}"

    def mark(self, name: str) -> str:
        """What a part of this service, and all that it starts, is known by."""
        return f"{name} of {self.root.resolve()}"

    def runs(self, service: Service, name: str) -> bool:
        """Tell whether a part of the service runs."""
        return name in service.processes and is_marked(service.processes[name], self.mark(name))

    def read(self) -> Service:
        """Read what was started; nothing where no service is. Raises RecordError."""
        try:
            return _SERVICE.validate_json(self.state.read_bytes())
        except FileNotFoundError:
            return Service(address="", processes={})
        except (OSError, ValidationError) as error:
            fix = "refsav down, which ends what runs and removes this file, then refsav up"
            raise RecordError(self.state, "", f"cannot be read: {error}", fix) from None

    def write(self, service: Service) -> None:
        """Write down what was started. Raises DiskError."""
        write_bytes(self.state, _SERVICE.dump_json(service, indent=1) + b"\n")


_SERVICE = TypeAdapter(Service)
