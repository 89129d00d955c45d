"""Many tasks of one kind, some at a time: how a build works through its bundles and shards."""

from collections.abc import Callable, Sequence
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from prefect.futures import PrefectFuture

from refsav.annotators.engines.engine import ServersDownError
from refsav.datasets.run.storage import StorageError
from refsav.disk.files import DiskError
from refsav.errors import RefSavError
from refsav.processes.cancellation import stopping_others

Item = TypeVar("Item")
Result = TypeVar("Result")

SHARED_FAILURES = (ServersDownError, DiskError, StorageError)
"""Failures that every remaining task would meet too, each at the cost of its requests in flight."""


class IncompleteBuildError(RefSavError):
    """Some tasks did not finish; the same command resumes the build."""


def fan_out(
    submit: Callable[[Item], PrefectFuture[Result]],
    items: Sequence[Item],
    *,
    at_once: int,
    on_progress: Callable[[], None],
) -> list[Result]:
    """Submit a task for each item, with at most `at_once` unfinished tasks, and wait for all.

    A task that fails does not stop the others, unless they would meet the same failure.

    Args:
        submit: Submits the task of one item.
        items: One item for each task.
        at_once: Largest number of submitted tasks that have not ended, on threads or on a cluster.
        on_progress: Called when a task has ended.

    Returns:
        The results, in the order of the items.

    Raises:
        IncompleteBuildError: If tasks failed; the message quotes the first failure.
    """
    ended: SimpleQueue[PrefectFuture[Result]] = SimpleQueue()
    futures: list[PrefectFuture[Result]] = []
    waiting = iter(items)
    with stopping_others():
        for done in range(len(items)):
            for item in islice(waiting, at_once - (len(futures) - done)):
                futures.append(submit(item))
                futures[-1].add_done_callback(ended.put)
            outcome: object = _result_of(ended.get())
            if isinstance(outcome, SHARED_FAILURES):
                raise _incomplete(outcome, f"stopped with {len(items) - done} of {len(items)} tasks to do")
            on_progress()
    results = [_result_of(future) for future in futures]
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise _incomplete(failures[0], f"{len(failures)} of {len(results)} tasks did not finish")
    return results


def _result_of(future: PrefectFuture[Result]) -> Result:
    """What a task has returned or raised; `wait` turns the death of its process into a failure."""
    future.wait()
    return future.result(raise_on_failure=False)


def _incomplete(cause: BaseException, problem: str) -> IncompleteBuildError:
    if isinstance(cause, RefSavError):
        message, fix = cause.without_fix, cause.fix
    else:
        message, fix = f"{type(cause).__name__}: {cause}", ""
    error = IncompleteBuildError(f"{problem}: {message}", fix=fix or "run the same command again to resume")
    error.__cause__ = cause
    return error
