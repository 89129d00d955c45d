"""What a build cost, as its configuration has it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.config.build import BuildConfig
from refsav.flows.statistics_task import write_statistics
from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]


def test_each_stage_costs_the_gpus_of_its_own_engine(command: Command, copy_clips: CopyClips, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("build", copy_clips(tmp_path / "source", "vos_000002"), run, "--views.longest_side_px=320").code == 0
    engines = {
        "vlm": {"kind": "vllm", "addresses": ["http://a/v1", "http://b/v1"], "in_flight_per_server": 64},
        "judge": {"kind": "vllm", "in_flight_per_server": 2, "gpus_per_server": 0.5},
        "runner": {"bundles_at_once": 4},
    }
    engines["vlm"]["gpus_per_server"] = 8
    costs = {cost.use.stage: cost for cost in stages_of(run, engines)}
    for stage, cost in costs.items():
        assert cost.use.seconds > 0
        share = 0.5 / 2 if stage == "judge" else 8 / 64
        assert cost.gpu_hours == pytest.approx(cost.use.seconds * share / 3600)
    assert {cost.gpu_hours for cost in stages_of(run, {})} == {0.0}


def stages_of(run, tables):
    return write_statistics(RunDirectory(run), BuildConfig.from_mapping(tables, "test")).stages
