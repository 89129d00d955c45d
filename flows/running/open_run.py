"""A run that one flow works on: locked on this machine and in its storage, with its own task runner."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refsav.disk.lock import exclusive
from refsav.flows.config.build import RunnerConfig
from refsav.flows.running.run_storage import locked_in_storage, upload
from refsav.flows.running.task_runner import tasks_on


@contextmanager
def open_run(run: Path, runner: RunnerConfig) -> Iterator[None]:
    """Lock a run for this flow, download what it lacks, submit tasks to its runner, and upload the results at the end.

    Raises:
        LockedError: If another process or machine works on the run.
        MissingExtraError: If a package for Ray or for the storage is missing.
        ClusterError: If the Ray cluster cannot be used.
        ConfigError: If the storage holds another run.
        StorageError: If the storage cannot be used.
    """
    with exclusive(run), locked_in_storage(run, runner), tasks_on(runner):
        yield
        upload(run)
