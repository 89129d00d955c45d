"""Engines by name: every entry makes an engine, and a new one needs a module and an entry, nothing else."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts, settle_engines
from refsav.annotators.bundles.plan import extend_plan
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import Engine
from refsav.annotators.engines.make_engine import make_engine
from refsav.annotators.engines.registry import ENGINES, EngineEntry
from refsav.annotators.stages.views import ViewsConfig
from refsav.datasets.run.parts import read_expressions, read_failed
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.errors import ConfigError
from refsav.flows.reporting.progress_bars import Silent

EXAMPLE = Path(__file__).with_name("example_engine.py")


def test_every_entry_makes_an_engine_and_is_a_choice_of_the_configuration() -> None:
    for kind in ENGINES:
        engine: Engine = make_engine(EngineConfig.from_mapping({"kind": kind}, "test"))
        assert engine.requests_at_once > 0
        asyncio.run(engine.close())
    assert get_args(EngineConfig.model_fields["kind"].annotation) == tuple(ENGINES)
    assert EngineConfig().kind == "attributes"
    with pytest.raises(ConfigError, match="kind: Input should be 'attributes' or 'vllm'"):
        EngineConfig.from_mapping({"kind": "example"}, "test")


def test_an_engine_of_ones_own_describes_videos_with_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EngineEntry("tests.annotators.engines.example_engine:MeanColourEngine", "names the mean colour.")
    monkeypatch.setattr("refsav.annotators.engines.make_engine.ENGINES", {**ENGINES, "mean-colour": entry})
    example = EngineConfig.model_construct(kind="mean-colour")  # what is valid was fixed when the registry was imported
    vlm, judge = asyncio.run(settle_engines(example, example))
    assert vlm.model == "mean-colour-1"

    source, run = tmp_path / "source", RunDirectory(tmp_path / "run")
    list(write_scenes(source, SynthConfig(videos=1)))
    list(extend_plan(run, source, discover(source, SourceConfig()), 16))
    config = AnnotationConfig(vlm=vlm, judge=judge, views=ViewsConfig(longest_side_px=160, frames=2))
    annotate_to_parts(run, source, "bundle-000000", config, Silent())

    expressions = list(read_expressions(run))
    assert expressions
    assert not list(read_failed(run))
    assert {one.provenance.vlm for one in expressions} == {"mean-colour:mean-colour-1"}
    assert all(one.video.text.startswith("The object in this video view is ") for one in expressions)


def test_the_example_is_short_enough_to_be_read_in_the_docs() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
