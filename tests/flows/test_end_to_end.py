"""The whole loop on a handful of scenes: three figures, a page whose pictures are there, and nothing done twice."""

import json
import re
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.errors import ConfigError, RefSavError
from refsav.flows.config.end_to_end import EndToEndConfig, LoopDirectory
from refsav.flows.end_to_end import end_to_end, keep_untrained
from refsav.flows.train import train_sa2va

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/demo-full.toml"
SMALL = {
    "training.learning.steps": 2,
    "training.learning.batch": 2,
    "training.learning.at_once": 2,
    "training.learning.workers": 0,
    "training.watching.trackers": "none",
    "build.split.val_share": 0.3,
    "inference.new_tokens": 4,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Path:  # noqa: ARG001 - it runs there
    folder = tmp_path_factory.mktemp("loop")
    config = loop_config()
    scenes = config.scenes.model_copy(update={"videos": 6, "frames": 16})
    list(write_scenes(folder / "scenes", SynthConfig(**scenes.model_dump())))
    end_to_end(folder / "scenes", folder / "run", config)
    return folder / "run"


def loop_config() -> EndToEndConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config = EndToEndConfig.from_toml(CONFIG, SMALL)
    model = config.training.model.model_copy(update={"origin": str(ROOT / config.training.model.origin)})
    return config.model_copy(update={"training": config.training.model_copy(update={"model": model})})


def test_the_three_figures_are_there_with_how_they_came_about(run: Path) -> None:
    outcome = json.loads(LoopDirectory(run).outcome.read_text())
    for name, benchmark in (("jf", "trained"), ("jf_untrained", "untrained"), ("jf_shuffled", "shuffled")):
        result = json.loads((LoopDirectory(run).benchmark(benchmark) / "result.json").read_text())
        assert outcome[name] == result["scores"]["overall"]["J&F"]
        assert ("the words for another" in result["setup"]["protocol"]) == (benchmark == "shuffled")
    assert outcome["expressions"] > 0 and outcome["settings"]["propagation"] == "none"


def test_every_picture_and_link_of_the_page_is_there(run: Path) -> None:
    page = LoopDirectory(run).page
    text = page.read_text()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(addresses) >= 3
    assert all((page.parent / address).is_file() for address in addresses)
    assert "$" not in text


def test_a_second_run_repeats_nothing(run: Path) -> None:
    places = LoopDirectory(run)
    kept = [places.model / "model.safetensors", *sorted((places.benchmark("trained") / "parts").iterdir())]
    before = [path.stat().st_mtime_ns for path in kept]
    end_to_end(run.parent / "scenes", run, loop_config())
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_other_settings_are_not_taken_for_the_same_loop(run: Path) -> None:
    config = loop_config()
    learning = config.training.learning.model_copy(update={"steps": 3})
    longer = config.model_copy(update={"training": config.training.model_copy(update={"learning": learning})})
    with pytest.raises(ConfigError, match=r"learning.steps: was 2, now 3"):
        end_to_end(run.parent / "scenes", run, longer)


def test_a_rebuilt_dataset_is_not_mistaken_for_the_same(run: Path) -> None:
    index = RunDirectory(LoopDirectory(run).dataset).shards / "train/index.json"
    before = index.read_text()
    index.write_text(json.dumps(json.loads(before)))
    training = loop_config().training_on(LoopDirectory(run).dataset)
    try:
        for task in (train_sa2va, keep_untrained):
            with pytest.raises(ConfigError, match=r"data.sources, ref-sav \(0\): holds something else than before"):
                task(training, LoopDirectory(run).training)
    finally:
        index.write_text(before)


def test_a_training_that_fails_fails_the_flow_and_names_its_command(run: Path) -> None:
    config = loop_config().training_on(LoopDirectory(run).dataset)
    with pytest.raises(
        RefSavError,
        match=r"the training ended with status 1\n  fix: run it in a terminal to see its error: false .*train",
    ):
        train_sa2va(config, run.parent / "failing", launcher="false")
