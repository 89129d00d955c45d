"""prefect.yaml: every deployment is of a flow that exists, with parameters that it has and a schedule somewhere."""

from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.automations import Automation
from prefect.utilities.callables import parameter_schema

from refsav.flows.reporting.notifications import notify

ROOT = Path(__file__).parents[2]
CONTENT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
AUTOMATIONS = yaml.safe_load((ROOT / "configs/automations.yaml").read_text())["automations"]


@pytest.fixture(params=CONTENT["deployments"], ids=lambda one: one["name"])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def flow_of(deployment: dict[str, Any]) -> Flow[Any, Any]:
    module, name = deployment["entrypoint"].split(":")
    return getattr(import_module(module), name)


def test_nothing_is_pulled() -> None:
    assert CONTENT["pull"] == []


def test_its_parameters_are_the_flow_s_and_a_form_can_be_made_of_them(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    assert isinstance(flow, Flow)
    schema = parameter_schema(flow)
    assert deployment["parameters"].keys() <= schema.properties.keys()
    assert set(schema.required) <= deployment["parameters"].keys(), "it can be fired as it is"
    flow.validate_parameters(deployment["parameters"])
    config = schema.properties.get("config")
    assert config is None or "$ref" in str(config), "its keys are fields of the form"


def test_it_notifies_how_its_runs_end(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    hooks = (flow.on_completion_hooks, flow.on_failure_hooks, flow.on_crashed_hooks, flow.on_cancellation_hooks)
    assert all(notify in one for one in hooks)


def test_one_run_at_a_time_in_the_pool_that_up_makes(deployment: dict[str, Any]) -> None:
    assert deployment["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"
    assert deployment["work_pool"]["name"] == "refsav"
    assert deployment["tags"]


def test_a_schedule_says_where_its_hours_are(deployment: dict[str, Any]) -> None:
    for schedule in deployment.get("schedules", ()):
        ZoneInfo(schedule["timezone"])


def test_both_builds_get_the_same_parameters() -> None:
    """They share a run: with two configurations, each would rebuild the results of the other."""
    parameters = {one["name"]: one["parameters"] for one in CONTENT["deployments"]}
    assert parameters["build-ref-sav"]["config"] is parameters["nightly"]["config"]["build"]
    assert parameters["build-ref-sav"]["run"] == parameters["nightly"]["dataset"]


@pytest.mark.parametrize("automation", AUTOMATIONS, ids=lambda one: one["name"])
def test_an_automation_is_one_and_of_a_deployment(automation: dict[str, Any]) -> None:
    Automation.model_validate(automation)
    related = automation["trigger"]["match_related"]
    assert related["prefect.resource.name"] in {one["name"] for one in CONTENT["deployments"]}
