"""A whole build on two real vLLM servers, VLM and judge being different models.

What is proved is the mechanism: true requests with true images, answers from a closed list with their probabilities,
shards that others read. Not the judgement: the VLM is untrained and says sentences that mean nothing, so a judge is
right to call most pairs of them a conflict. Made scenes with many objects leave enough that come through.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
import webdataset

from refsav.annotators.engines.journal import read_entries
from refsav.annotators.serving.server_process import RunningServer
from refsav.datasets.run.parts import read_dropped, read_expressions, read_failed
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import Finished, refsav

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
CONFIG = Path(__file__).parents[2] / "configs/vllm-cpu.toml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return RunDirectory(tmp_path_factory.mktemp("vllm") / "run")


@pytest.fixture(scope="module")
def built(
    vlm_server: RunningServer,
    judge_server: RunningServer,
    sav_data: Path,
    run: RunDirectory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Finished:
    """A build of all real clips and of made scenes."""
    source = tmp_path_factory.mktemp("source")
    list(write_scenes(source / "made", SynthConfig(videos=16, height=240, width=320, frames=48, min_objects=4)))
    for path in sav_data.glob("*00000*"):
        (source / path.name).symlink_to(path)
    addresses = ("--vlm.addresses", vlm_server.address, "--judge.addresses", judge_server.address)
    split = ("--split.val_share", "0.4")
    home = tmp_path_factory.mktemp("prefect")
    return refsav("build", source, run.root, "--config", CONFIG, *addresses, *split, home=home, timeout_s=800)


def test_every_object_is_described_or_dropped(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0, built.err
    counts = re.match(r"(\d+) objects = (\d+) expressions \+ (\d+) dropped \+ 0 failed\n", built.out)
    assert counts, built.out
    read, expressions, dropped = map(int, counts.groups())
    assert read == expressions + dropped > 60
    assert expressions >= 3
    assert list(read_failed(run)) == []


def test_the_judge_answers_from_the_list_with_a_probability(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    answers = [entry for path in run.journal.glob("*") for entry in read_entries(path) if entry["task"] == "judge"]
    said = Counter(entry["text"] for entry in answers)
    assert said.keys() <= {"consistent", "conflict"}
    assert all(0 < entry["confidence"] <= 1 for entry in answers)
    assert len({entry["confidence"] for entry in answers}) > 5
    judged = [one.verdict.confidence for one in read_expressions(run)]
    judged += [one.confidence for one in read_dropped(run) if one.stage == "judge"]
    assert all(0 < confidence <= 1 for confidence in judged)


def test_two_models_were_asked_and_every_record_names_both(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    origins = {(one.provenance.vlm, one.provenance.judge) for one in read_expressions(run)}
    assert origins == {("vllm:tiny-vlm", "vllm:smollm2-135m")}


def test_texts_follow_the_images(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    texts = [one.text for one in read_expressions(run)]
    assert len(set(texts)) > 1
    tokens = [entry for path in run.journal.glob("*") for entry in read_entries(path) if entry["task"] == "video"]
    assert min(entry["prompt_tokens"] for entry in tokens) > 8 * 4  # eight images were seen


def test_webdataset_and_hugging_face_read_the_shards(built: Finished, run: RunDirectory) -> None:
    assert built.code == 0
    shards = sorted(str(path) for path in run.shards.rglob("*.tar"))
    expected = Counter(one.track.video_id for one in read_expressions(run))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    ours = {sample["__key__"]: len(json.loads(sample["json"])["objects"]) for sample in samples}
    assert ours == dict(expected)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the library is imported
    import datasets

    loaded = datasets.load_dataset("webdataset", data_files={"train": shards}, split="train", streaming=True)
    theirs = {row["__key__"]: len(row["json"]["objects"]) for row in loaded}
    assert theirs == ours
