"""The curve of a training, as a picture: the parts of the loss over its steps, and held-out examples beside them."""

from matplotlib.figure import Figure

from refsav.files import appearing
from refsav.model.training.paths import VALIDATION, TrainingDirectory
from refsav.model.training.step_log import StepFile
from refsav.model.training_step.forward import PARTS

SIZE_INCHES = (8.0, 3.6)


def draw_curve(run: TrainingDirectory) -> None:
    """Write RUN/curve.png of what RUN/metrics.jsonl holds.

    Raises:
        RecordError: If that cannot be read.
        DiskError: If the picture cannot be written.
    """
    lines = StepFile.read(run.metrics)
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for part in PARTS:
        told = [(line["step"], line[part]) for line in lines if part in line]
        axes.plot(*zip(*told, strict=True), label=part, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    if found := [(line["step"], line[VALIDATION]) for line in lines if VALIDATION in line]:
        beside = axes.twinx()
        beside.plot(*zip(*found, strict=True), "o-", color="black", label="held-out mean IoU")
        beside.set_ylim(0, 1)
        beside.set_ylabel("mean IoU")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    with appearing(run.curve) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
