"""The job queue behind the page: one worker thread runs the jobs of all visitors in turn; each job can be stopped."""

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
    """Too many jobs are waiting."""

    def __init__(self) -> None:
        super().__init__(f"{MAX_WAITING} others are waiting for this model", fix="try again in a few minutes")


class UnexpectedError(RefSavError):
    """A defect in RefSAV. The visitor sees a short message; the traceback is in the server's log."""

    def __init__(self, error: BaseException) -> None:
        if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
            problem = "the model has run out of memory"
            fix = "choose fewer key frames, fewer objects or a smaller image"
        else:
            problem = f"an unexpected error occurred ({type(error).__name__})"
            fix = "try something else; the server's log has the details"
        super().__init__(problem, fix=fix)


class Job(Generic[Result]):
    """A piece of work and its state. Callers poll it; it has no callbacks."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self.state: State = "waiting"
        self.result: Result | None = None
        self.error: RefSavError | None = None
        self.seconds = 0.0
        """Run time; 0 until the job is over."""
        self.ended = threading.Event()
        """Set to end the job early."""
        self._work = work

    @property
    def is_over(self) -> bool:
        """Whether the state is final."""
        return self.state in ("done", "failed", "stopped")

    def run(self, log: Callable[[BaseException], None]) -> None:
        """Do the work and keep its result or its error.

        Args:
            log: Called with an error that is a defect, not a user's mistake.
        """
        started = time.monotonic()
        try:
            with ended_by(self.ended):
                self.result = self._work()
            final: State = "done"
        except StoppedError:
            final = "stopped"
        except RefSavError as error:
            self.error, final = error, "failed"
        except Exception as error:  # noqa: BLE001 - the page keeps running for the other visitors
            log(error)
            self.error, final = UnexpectedError(error), "failed"
        self.seconds = time.monotonic() - started
        self.state = final  # last: whoever polls it finds the rest complete


class JobQueue:
    """Runs jobs one after the other in a thread of its own, so the model never runs twice at once."""

    def __init__(self, log: Callable[[BaseException], None]) -> None:
        """Start the worker thread.

        Args:
            log: Called with the errors of jobs that are defects.
        """
        self._log = log
        self._jobs: list[Job[Any]] = []
        """The first one is running."""
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="refsav-jobs", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Result], *, always: bool = False) -> Job[Result]:
        """Queue a piece of work.

        Args:
            work: Called without arguments in the worker thread.
            always: Whether to queue it even if the queue is full.

        Raises:
            FullError: If too many jobs are waiting.
        """
        job = Job(work)
        with self._changed:
            if len(self._jobs) > MAX_WAITING and not always:
                raise FullError
            self._jobs.append(job)
            self._changed.notify()
        return job

    def jobs_ahead(self, job: Job[Any]) -> int:
        """Count the jobs ahead of this one, the running job included."""
        with self._changed:
            return self._jobs.index(job) if job in self._jobs else 0

    def stop(self, job: Job[Any]) -> None:
        """End a job early: at once if it is waiting, otherwise at its next token or frame."""
        with self._changed:
            job.ended.set()
            if job.state == "waiting":
                self._jobs.remove(job)
                job.state = "stopped"

    def close(self, within_s: float) -> bool:
        """Stop all jobs. Returns False if the worker thread has not ended after `within_s` seconds."""
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
