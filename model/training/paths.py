"""Where everything of one training lies.

RUN/training.toml             configuration as used, versions, digests of data and of the model to begin with
RUN/metrics.jsonl             a line for every few steps, and one for every validation
RUN/left_out.jsonl            a line for every example that could not be used, or not as a whole
RUN/curve.png                 a picture of it, where one was asked for
RUN/curves/                   the same for TensorBoard, where it is installed
RUN/checkpoints/step-000100/  what training goes on from
RUN/model/                    the trained model, adapters merged
RUN/untrained/                the model as it was before, where it was asked for
"""

from dataclasses import dataclass
from pathlib import Path

VALIDATION = "held_out_mean_iou"
"""Key of the lines of metrics that a validation leaves."""


@dataclass(frozen=True, slots=True)
class TrainingDirectory:
    """Paths of one training. Knows names, reads and writes nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        """Configuration as used."""
        return self.root / "training.toml"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.root / "metrics.jsonl"

    @property
    def left_out(self) -> Path:
        """Likewise."""
        return self.root / "left_out.jsonl"

    @property
    def curves(self) -> Path:
        """What trackers write."""
        return self.root / "curves"

    @property
    def curve(self) -> Path:
        """Picture of the metrics."""
        return self.root / "curve.png"

    @property
    def checkpoints(self) -> Path:
        """A folder for each."""
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The one after so many steps."""
        return self.checkpoints / f"step-{step:06}"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "model"

    @property
    def untrained(self) -> Path:
        """The model as it was before."""
        return self.root / "untrained"
