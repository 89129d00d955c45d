"""Examples that a training skips, on all devices: reported, recorded, counted, and limited."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accelerate.utils import gather_object

from refsav.datasets.training_examples.skipped_examples import BadExamples
from refsav.model.training.step_log import StepLog
from refsav.model.training_step.data_loader import ExampleInfo


class SkippedExamples:
    """Counts bad examples. All devices keep the same counts and end together; the main process writes the record."""

    def __init__(self, path: Path | None, done: int, share: float, report: Callable[[str], None]) -> None:
        """Start a record, or resume one after step `done`.

        Args:
            path: RUN/left_out.jsonl; None in processes that do not write.
            done: Number of steps done.
            share: Share of the examples that may be bad, 0-1.
            report: Called with a line for each.

        Raises:
            RecordError: If the file exists and cannot be read.
            DiskError: If it cannot be written.
        """
        self._log = StepLog(path, done) if path else None
        self._bad = BadExamples(share)
        self._on_skipped = report
        self._used: list[ExampleInfo] = []

    @property
    def count(self) -> int:
        """Examples that could not be used, or only in part, as of the last `synchronize`."""
        return self._bad.count

    def add(self, examples: Iterable[ExampleInfo]) -> None:
        """Add the examples that this device has used."""
        self._used += examples

    def synchronize(self, step: int) -> None:
        """Count the examples that all devices have used up to a step. Raises TooManyBadError, DiskError."""
        used, self._used = gather_object(self._used), []
        self._record(step, used, held_out=False)
        for example in used:
            self._bad.note(example)

    def count_held_out(self, step: int, examples: Sequence[ExampleInfo], share: float) -> int:
        """Record the bad held-out examples, limited by `share`; return their number. Raises as `synchronize`."""
        self._record(step, examples, held_out=True)
        bad = BadExamples(share, "validation.data.bad_share")
        for example in examples:
            bad.note(example)
        return bad.count

    def _record(self, step: int, examples: Sequence[ExampleInfo], *, held_out: bool) -> None:
        for bad in (bad for example in examples for bad in example.bad):
            self._on_skipped(f"skipped{' (held-out)' if held_out else ''}: {bad.source}: {bad.line}")
            if self._log:
                self._log.append({"step": step, "held_out": held_out, "source": bad.source, "error": bad.line})
