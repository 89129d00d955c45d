"""What a training leaves out, on all of its devices: told, written down, counted, and ended when it is too much."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accelerate.utils import gather_object

from refsav.datasets.training_examples.skipped_examples import BadExamples
from refsav.model.training.step_log import StepFile
from refsav.model.training_step.data_loader import Taken


class LeftOut:
    """An account of bad examples. All devices keep the same one, so that all end alike; the first writes it down."""

    def __init__(self, path: Path | None, done: int, share: float, told: Callable[[str], None]) -> None:
        """Begin, or go on behind step `done`.

        Args:
            path: RUN/left_out.jsonl; None on devices that do not write.
            done: Steps that are done.
            share: Of the examples that may be bad, fraction 0-1.
            told: Told of each.

        Raises:
            RecordError: If the file is there and cannot be read.
            DiskError: If it cannot be written.
        """
        self._written = StepFile(path, done) if path else None
        self._bad = BadExamples(share)
        self._told = told
        self._taken: list[Taken] = []

    @property
    def count(self) -> int:
        """Examples that could not be used, or not as a whole, as far as the devices have compared."""
        return self._bad.count

    def note(self, examples: Iterable[Taken]) -> None:
        """Take in what this device has learnt from."""
        self._taken += examples

    def compare(self, step: int) -> None:
        """Bring together what all devices have taken in up to a step. Raises TooManyBadError, DiskError."""
        taken, self._taken = gather_object(self._taken), []
        self._tell(step, taken, held_out=False)
        for example in taken:
            self._bad.note(example)

    def judge_held_out(self, step: int, examples: Sequence[Taken], share: float) -> int:
        """Tell of held-out examples, of which another share may be bad; give their number. Raises as `compare`."""
        self._tell(step, examples, held_out=True)
        bad = BadExamples(share, "validation.data.bad_share")
        for example in examples:
            bad.note(example)
        return bad.count

    def _tell(self, step: int, examples: Sequence[Taken], *, held_out: bool) -> None:
        for bad in (bad for example in examples for bad in example.bad):
            self._told(f"left out{' of held-out examples' if held_out else ''}: {bad.source}: {bad.line}")
            if self._written:
                self._written.append({"step": step, "held_out": held_out, "source": bad.source, "error": bad.line})
