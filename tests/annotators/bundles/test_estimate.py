"""An estimate takes what a run has shown: lengths of replies, and prompts and seconds of the same models."""

from pathlib import Path

import numpy as np
import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig
from refsav.annotators.bundles.estimate import Experience, SourceSample, estimate
from refsav.annotators.engines.engine import Reply, Task
from refsav.annotators.engines.journal import Journal
from refsav.annotators.serving.profile import load_profile
from refsav.datasets.masks import encode
from refsav.datasets.records import STAGES, ObjectTrack
from refsav.datasets.run.run_directory import RunDirectory

ASKED: dict[Task, int] = {"object-crop": 4, "object-masked": 4, "judge": 4, "scene": 3, "video": 3}
"""Four objects, one of which the judge dropped."""
SECONDS = 2.0
GPUS = dict.fromkeys(STAGES, 0.125)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path)
    journal = Journal(directory.journal / "bundle-000000.jsonl")
    for task, count in ASKED.items():
        for number in range(count):
            reply = Reply(text="", finish_reason="stop", prompt_tokens=700, completion_tokens=40, seconds=SECONDS)
            journal.append(f"{task} {number}", task, reply)
    journal.close()
    return directory


@pytest.fixture
def sample() -> SourceSample:
    mask = np.zeros((120, 160), dtype=np.bool_)
    mask[30:60, 40:90] = True
    track = ObjectTrack(
        video_id="a", source="manual", masklet_id=0, column=0, size=mask.shape, masks=(encode(mask),), areas_px=(1500,)
    )
    return SourceSample(videos=1000, read=1, tracks=(track,))


def test_prompts_and_seconds_of_the_same_models_win(run: RunDirectory, sample: SourceSample) -> None:
    stages = estimate(sample, AnnotationConfig(), load_profile("paper"), Experience.of_run(run, GPUS))
    by_name = {stage.stage: stage for stage in stages}
    assert [round(by_name[name].requests) for name in ("object", "scene", "video")] == [2000, 750, 750]
    scene = by_name["scene"]
    assert (scene.prompt_tokens, scene.reply_tokens) == (750 * 700, 750 * 40)
    assert scene.device_hours == pytest.approx(750 * SECONDS * 0.125 / 3600)


def test_of_other_models_only_replies_and_verdicts_are_taken(run: RunDirectory, sample: SourceSample) -> None:
    profile = load_profile("paper")
    (scene,) = [
        stage
        for stage in estimate(sample, AnnotationConfig(), profile, Experience.of_run(run))
        if stage.stage == "scene"
    ]
    assert scene.reply_tokens == 750 * 40
    assert scene.prompt_tokens != 750 * 700
    expected_s = profile.vlm.figures.device_seconds(scene.prompt_tokens, scene.reply_tokens)
    assert scene.device_hours == pytest.approx(expected_s / 3600)


def test_gpus_that_a_run_does_not_know_are_taken_from_the_profile(run: RunDirectory, sample: SourceSample) -> None:
    unknown = Experience.of_run(run, dict.fromkeys(STAGES, 0.0))
    assert unknown.origin == f"replies and prompts in {run.root}"
    assert all(stage.device_hours > 0 for stage in estimate(sample, AnnotationConfig(), load_profile("paper"), unknown))
