"""The requests of `refsav up` to the Prefect server that it has started.

Prefect's own client takes three seconds to import, follows the proxies of the environment to 127.0.0.1, and may only be
used in flows/.
"""

import os
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import httpx

from refsav.errors import ConfigError

UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
RETRIES_FOR_S = 30.0
RETRIES_EVERY_S = 0.5


class PrefectApi:
    """A client of Prefect's API on this machine."""

    def __init__(self, address: str) -> None:
        """Connect to the API at an address, with the password that Prefect's own clients use."""
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
        """Check whether a GET request succeeds. Raises ConfigError if the server requires a password."""
        try:
            answer = self._client.get(path)
        except httpx.TransportError:
            return False
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            fix = "set PREFECT_API_AUTH_STRING to what PREFECT_SERVER_API_AUTH_STRING was when it was started"
            raise ConfigError("Prefect's server requires a password", fix=fix, path=str(self._client.base_url))
        return answer.is_success

    def crash_runs(self, pool: str, alive: Collection[str]) -> int:
        """Mark flow runs whose processes have died with their worker as crashed, which frees their slots at once.

        Args:
            pool: The work pool whose runs are checked.
            alive: Ids of the flow runs whose processes run.

        Returns:
            The number of runs that were marked.

        Raises:
            httpx.HTTPError: If the server refuses it.
        """
        under_way = {
            "flow_runs": {"state": {"type": {"any_": UNDER_WAY}}},
            "work_pools": {"name": {"any_": [pool]}},
        }
        dead = [run["id"] for run in self._post("flow_runs/filter", under_way).json() if run["id"] not in alive]
        state = {"type": "CRASHED", "message": "The worker has ended, and this run's process with it."}
        for flow_run in dead:
            self._post(f"flow_runs/{flow_run}/set_state", {"state": state, "force": True})
        return len(dead)

    def _post(self, path: str, content: dict[str, Any]) -> httpx.Response:
        """Post; retry while Prefect answers 503, as its own clients do: its database is locked. Raises HTTPError."""
        end_s = time.monotonic() + RETRIES_FOR_S
        while True:
            answer = self._client.post(path, json=content)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end_s:
                return answer.raise_for_status()
            time.sleep(RETRIES_EVERY_S)
