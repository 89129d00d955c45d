"""Many tasks of one kind, some at a time: what a build does with its bundles and shards."""

from collections.abc import Callable, Sequence
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from prefect.futures import PrefectFuture

from refsav.annotators.engines.engine import ServersDownError
from refsav.datasets.run.storage import StorageError
from refsav.errors import RefSavError
from refsav.files import DiskError
from refsav.stopping import stopping_others

Item = TypeVar("Item")
Result = TypeVar("Result")

MET_BY_ALL = (ServersDownError, DiskError, StorageError)
"""Failures that the tasks that are left would meet too, each at the price of what it has in flight."""


class IncompleteBuildError(RefSavError):
    """Some tasks did not finish; the same command goes on where this one stopped."""


def fan_out(
    submit: Callable[[Item], PrefectFuture[Result]],
    items: Sequence[Item],
    *,
    at_once: int,
    told: Callable[[], None],
) -> list[Result]:
    """Submit a task for each item, with no more than `at_once` under way, and wait for all.

    A task that fails does not keep the others from running, unless they would meet the same failure.

    Args:
        submit: Submits the task of one item.
        items: What there is to do.
        at_once: How many tasks may be under way, whatever runs them.
        told: Called when a task has ended.

    Returns:
        The results, in the order of the items.

    Raises:
        IncompleteBuildError: If tasks failed; it tells what the first of them said.
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
            if isinstance(outcome, MET_BY_ALL):
                raise _incomplete(outcome, f"stopped with {len(items) - done} of {len(items)} tasks to do")
            told()
    results = [_result_of(future) for future in futures]
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise _incomplete(failures[0], f"{len(failures)} of {len(results)} tasks did not finish")
    return results


def _result_of(future: PrefectFuture[Result]) -> Result:
    """What a task has returned or raised; `wait` makes a failure of one that died with its process."""
    future.wait()
    return future.result(raise_on_failure=False)


def _incomplete(cause: BaseException, what: str) -> IncompleteBuildError:
    told = f"{cause}" if isinstance(cause, RefSavError) else f"{type(cause).__name__}: {cause}"
    fix = "" if "\n  fix: " in told else "\n  fix: run the same command again, it goes on from here"
    error = IncompleteBuildError(f"{what}: {told}{fix}")
    error.__cause__ = cause
    return error
