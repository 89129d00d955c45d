"""The paths of a training's run directory.

RUN/training.toml             configuration, versions, digests of the data and of the initial model
RUN/metrics.jsonl             a line for every few steps, and one for every validation
RUN/left_out.jsonl            a line for every example that could not be used, or only in part
RUN/curve.png                 the metrics as an image, if it was drawn
RUN/curves/                   the same for TensorBoard, if it is installed
RUN/checkpoints/step-000100/  what the training resumes from
RUN/model/                    the trained model, adapters merged
RUN/untrained/                the initial model, if it was saved for a comparison
"""

from dataclasses import dataclass
from pathlib import Path

VALIDATION = "held_out_mean_iou"
"""Key of the lines of metrics that a validation writes."""


@dataclass(frozen=True, slots=True)
class TrainingDirectory:
    """Paths of one training; it reads and writes nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        """The settings that the training is tied to."""
        return self.root / "training.toml"

    @property
    def metrics(self) -> Path:
        """Metrics, one JSON object per line."""
        return self.root / "metrics.jsonl"

    @property
    def skipped_examples(self) -> Path:
        """Skipped examples, one JSON object per line."""
        return self.root / "left_out.jsonl"

    @property
    def curves(self) -> Path:
        """Folder that trackers write to."""
        return self.root / "curves"

    @property
    def curve(self) -> Path:
        """The metrics as an image."""
        return self.root / "curve.png"

    @property
    def checkpoints(self) -> Path:
        """Folder with one folder for each checkpoint."""
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint after a number of steps."""
        return self.checkpoints / f"step-{step:06}"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "model"

    @property
    def untrained(self) -> Path:
        """The initial model."""
        return self.root / "untrained"
