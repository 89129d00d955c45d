"""Who wants to know how a flow ended: a message to an address of one's own, such as a Slack or Mattermost webhook."""

import os
from typing import Any, TypeVar

import httpx
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from refsav.flows.reporting.progress import say

ADDRESS = "REFSAV_NOTIFY_URL"
"""Environment variable of the worker. The address is a secret with most services: it is never shown."""

WITHIN_S = 10.0

NOTHING_NEW, BUSY, REFUSED = "NothingNew", "Busy", "Refused"
"""Names of states of a flow that has completed and done nothing."""

UNTOLD = frozenset((NOTHING_NEW, BUSY))
"""Nobody wants a message every hour that there was nothing to do."""


AnyFlow = TypeVar("AnyFlow", bound=Flow[..., Any])


def announced(flow: AnyFlow) -> AnyFlow:
    """Have it told how runs of a flow end; of flows within flows, only the outermost is."""
    for hooks in (
        flow.on_completion_hooks,
        flow.on_failure_hooks,
        flow.on_crashed_hooks,
        flow.on_cancellation_hooks,
    ):
        hooks.append(tell_outcome)
    return flow


def tell_outcome(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Post one line about a flow run that has ended, as {"text": …}; whoever does not answer stops nothing.

    A hook of Prefect: it is called in the flow's own process, or by the worker when that process is gone.
    """
    address = os.environ.get(ADDRESS, "")
    if not address or state.name in UNTOLD or flow_run.parent_task_run_id:
        return
    text = f"{flow.name} {flow_run.name}: {state.name}"
    if state.message:
        text += f": {state.message}".partition("\n")[0]
    try:
        with httpx.Client(timeout=WITHIN_S) as client:
            client.post(address, json={"text": text}).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        say(f"{ADDRESS}: the message was not taken: {type(error).__name__}")
