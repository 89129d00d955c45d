"""What the runner of the tasks means for their configuration."""

from refsav.annotators.engines.config import EngineConfig
from refsav.flows.config.build import BuildConfig, RunnerConfig
from refsav.flows.running.task_runner import for_each_process


def test_the_places_at_a_server_are_shared_out_among_processes() -> None:
    config = BuildConfig(vlm=EngineConfig(in_flight_per_server=64), judge=EngineConfig(in_flight_per_server=3))
    assert for_each_process(config) == config
    shared = for_each_process(config.model_copy(update={"runner": RunnerConfig(kind="ray", bundles_at_once=4)}))
    assert (shared.vlm.in_flight_per_server, shared.judge.in_flight_per_server) == (16, 1)
