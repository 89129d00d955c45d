"""What the measurement of an evaluation compares: masks that were truly found, the same both ways."""

from pathlib import Path

import pytest

from refsav.benchmarks.speed import evaluation as speed_evaluation
from refsav.benchmarks.speed.evaluation import measure_evaluation
from refsav.errors import RefSavError
from refsav.model.creation.model_sizes import ModelConfig

SIZES = Path(__file__).parents[3] / "configs/models/pocket.toml"


def test_suite_and_model_are_timed_both_ways(tmp_path: Path) -> None:
    measured = measure_evaluation(SIZES, tmp_path, singles=1, sam2=ModelConfig.from_toml(SIZES).sam2)
    assert [ratio.bar.value for ratio in measured.ratios if ratio.bar] == [2.5, 6.0]
    assert all(ratio.median > 0 for ratio in measured.ratios)


def test_times_without_masks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_evaluation, "NEW_TOKENS", 1)
    with pytest.raises(RefSavError, match="of no masks"):
        measure_evaluation(SIZES, tmp_path, singles=1, sam2=ModelConfig.from_toml(SIZES).sam2)
