"""Notifications of how a flow ended, posted to an address such as a Slack or Mattermost webhook."""

import os
from typing import Any, TypeVar

import httpx
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from refsav.flows.reporting.progress import print_line

ADDRESS = "REFSAV_NOTIFY_URL"
"""Environment variable of the worker. Most services treat the address as a secret, so it is never shown."""

POSTED_WITHIN_S = 10.0

NOTHING_NEW, BUSY, REFUSED = "NothingNew", "Busy", "Refused"
"""Names of the states of a flow that has completed without doing its work."""

NOT_NOTIFIED = frozenset((NOTHING_NEW, BUSY))
"""States without a notification: an hourly schedule would send them every hour."""


AnyFlow = TypeVar("AnyFlow", bound=Flow[..., Any])


def notifies(flow: AnyFlow) -> AnyFlow:
    """Send a notification when a run of this flow ends; a run within another flow's run sends none."""
    for hooks in (
        flow.on_completion_hooks,
        flow.on_failure_hooks,
        flow.on_crashed_hooks,
        flow.on_cancellation_hooks,
    ):
        hooks.append(notify)
    return flow


def notify(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Post one line about a flow run that has ended, as {"text": …}; a failure to post it stops nothing.

    A hook of Prefect: called in the flow's own process, or by the worker if that process has died.
    """
    address = os.environ.get(ADDRESS, "")
    if not address or state.name in NOT_NOTIFIED or flow_run.parent_task_run_id:
        return
    text = f"{flow.name} {flow_run.name}: {state.name}"
    if state.message:
        text += f": {state.message}".partition("\n")[0]
    try:
        with httpx.Client(timeout=POSTED_WITHIN_S) as client:
            client.post(address, json={"text": text}).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print_line(f"{ADDRESS}: the notification could not be posted: {type(error).__name__}")
