"""The one worker behind the page: jobs of all visitors, one after the other, each with a way to stop it."""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from refsav.errors import RefSavError
from refsav.processes.cancellation import StoppedError, ended_by

Result = TypeVar("Result")

State = Literal["waiting", "working", "done", "failed", "stopped"]

MAX_WAITING = 16


class FullError(RefSavError):
    """Too many wait already."""

    def __init__(self) -> None:
        super().__init__(f"{MAX_WAITING} others are waiting for this model\n  fix: try again in a few minutes")


class UnexpectedError(RefSavError):
    """A defect of ours, told to the visitor in few words; the server's log has them all."""

    def __init__(self, error: BaseException) -> None:
        if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
            super().__init__(
                "the model has run out of memory\n  fix: take fewer key frames, objects or a smaller picture"
            )
        else:
            super().__init__(
                f"something went wrong that should not have ({type(error).__name__})\n"
                "  fix: try something else; whoever runs this page finds the details in its log"
            )


class Job(Generic[Result]):
    """A piece of work and what has become of it. Whoever waits for it looks; it calls nobody."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self.state: State = "waiting"
        self.result: Result | None = None
        self.error: RefSavError | None = None
        self.seconds = 0.0
        """How long it took, once it is over."""
        self.ended = threading.Event()
        """Set when it is to end early."""
        self._work = work

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed", "stopped")

    def run(self, log: Callable[[BaseException], None]) -> None:
        """Do the work; errors are kept, those that are defects told to `log` too."""
        began = time.monotonic()
        try:
            with ended_by(self.ended):
                self.result = self._work()
            over: State = "done"
        except StoppedError:
            over = "stopped"
        except RefSavError as error:
            self.error, over = error, "failed"
        except Exception as error:  # noqa: BLE001 - the page goes on for the others
            log(error)
            self.error, over = UnexpectedError(error), "failed"
        self.seconds = time.monotonic() - began
        self.state = over  # last: then the rest is there


class JobQueue:
    """Takes jobs and does them in turn, in one thread of its own: the model is never run twice at once."""

    def __init__(self, log: Callable[[BaseException], None]) -> None:
        self._log = log
        self._jobs: list[Job[Any]] = []
        """The first is the one that is being done."""
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="refsav-jobs", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Result], *, always: bool = False) -> Job[Result]:
        """Queue a piece of work, even if too many wait where it is to be done `always`.

        Raises:
            FullError: If too many wait.
        """
        job = Job(work)
        with self._changed:
            if len(self._jobs) > MAX_WAITING and not always:
                raise FullError
            self._jobs.append(job)
            self._changed.notify()
        return job

    def jobs_ahead(self, job: Job[Any]) -> int:
        """How many jobs come before this one, the one that is being done included."""
        with self._changed:
            return self._jobs.index(job) if job in self._jobs else 0

    def stop(self, job: Job[Any]) -> None:
        """End a job early: at once if it waits, else at its next token or frame."""
        with self._changed:
            job.ended.set()
            if job.state == "waiting":
                self._jobs.remove(job)
                job.state = "stopped"

    def close(self, within_s: float) -> bool:
        """Stop all jobs; returns whether the worker has ended within these seconds."""
        with self._changed:
            self._closed = True
            jobs = list(self._jobs)
            self._changed.notify()
        for job in jobs:
            self.stop(job)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                job = self._jobs[0]
                job.state = "working"
            job.run(self._log)
            with self._changed:
                self._jobs.remove(job)
