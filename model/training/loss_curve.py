"""The loss curve of a training as an image: the terms of the loss, and the mean IoU of held-out examples."""

from matplotlib.figure import Figure

from refsav.disk.files import appearing
from refsav.model.training.paths import VALIDATION, TrainingDirectory
from refsav.model.training.step_log import StepLog
from refsav.model.training_step.forward import LOSS_TERMS

SIZE_INCHES = (8.0, 3.6)


def draw_curve(run: TrainingDirectory) -> None:
    """Draw RUN/metrics.jsonl into RUN/curve.png.

    Raises:
        RecordError: If the metrics cannot be read.
        DiskError: If the image cannot be written.
    """
    lines = StepLog.read(run.metrics)
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for term in LOSS_TERMS:
        points = [(line["step"], line[term]) for line in lines if term in line]
        axes.plot(*zip(*points, strict=True), label=term, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    if found := [(line["step"], line[VALIDATION]) for line in lines if VALIDATION in line]:
        right = axes.twinx()
        right.plot(*zip(*found, strict=True), "o-", color="black", label="held-out mean IoU")
        right.set_ylim(0, 1)
        right.set_ylabel("mean IoU")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    with appearing(run.curve) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
