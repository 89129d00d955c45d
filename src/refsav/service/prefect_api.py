"""What `refsav up` asks the Prefect server that it has started, and tells it."""

import os
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import httpx

from refsav.errors import ConfigError

UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
TRIED_FOR_S = 30.0
TRIED_EVERY_S = 0.5


class PrefectApi:
    """A client of Prefect's API on this machine."""

    def __init__(self, address: str) -> None:
        """Take the address of the API; a password is read where Prefect's own clients find it."""
        user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
        self._client = httpx.Client(
            base_url=address, trust_env=False, timeout=5.0, auth=(user, password) if user else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def answers(self, path: str) -> bool:
        """Tell whether a question is answered well. Raises ConfigError if that needs a password."""
        try:
            answer = self._client.get(path)
        except httpx.TransportError:
            return False
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            fix = "set PREFECT_API_AUTH_STRING to what PREFECT_SERVER_API_AUTH_STRING was when it was started"
            raise ConfigError(f"{self._client.base_url}: Prefect's server asks for a password\n  fix: {fix}")
        return answer.is_success

    def crash_runs(self, pool: str, but: Collection[str]) -> int:
        """Note of flow runs that their processes have died with their worker; that frees their places at once.

        Args:
            pool: The work pool whose runs are looked at.
            but: Ids of flow runs whose processes live.

        Returns:
            How many there were.

        Raises:
            httpx.HTTPError: If the server does not take it.
        """
        asked = {
            "flow_runs": {"state": {"type": {"any_": UNDER_WAY}}},
            "work_pools": {"name": {"any_": [pool]}},
        }
        dead = [run["id"] for run in self._post("flow_runs/filter", asked).json() if run["id"] not in but]
        state = {"type": "CRASHED", "message": "The worker has ended, and this run's process with it."}
        for flow_run in dead:
            self._post(f"flow_runs/{flow_run}/set_state", {"state": state, "force": True})
        return len(dead)

    def _post(self, path: str, content: dict[str, Any]) -> httpx.Response:
        """Ask again while Prefect answers 503, as its own clients do: its database is locked. Raises HTTPError."""
        end_s = time.monotonic() + TRIED_FOR_S
        while True:
            answer = self._client.post(path, json=content)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end_s:
                return answer.raise_for_status()
            time.sleep(TRIED_EVERY_S)
