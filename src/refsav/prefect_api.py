"""What `refsav up` asks the Prefect server that it has started, and tells it."""

import os
from collections.abc import Collection
from types import TracebackType
from typing import Self

import httpx

from refsav.errors import ConfigError

UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")


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
        answer = self._client.post("flow_runs/filter", json=asked)
        dead = [run["id"] for run in answer.raise_for_status().json() if run["id"] not in but]
        state = {"type": "CRASHED", "message": "The worker has ended, and this run's process with it."}
        for flow_run in dead:
            told = self._client.post(f"flow_runs/{flow_run}/set_state", json={"state": state, "force": True})
            told.raise_for_status()
        return len(dead)
