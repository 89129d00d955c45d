"""Requests, tokens and seconds of each stage of a run, summed over its journals."""

from dataclasses import dataclass

from refsav.annotators.engines.journal import read_entries
from refsav.datasets.records import STAGES, Stage
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import StageUse


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


def stage_use(run: RunDirectory) -> tuple[StageUse, ...]:
    """Sum all journals of a run, line by line; unusable replies count too. Raises RecordError."""
    sums: dict[Stage, _Sum] = {stage: _Sum() for stage in STAGES}
    for path in sorted(run.journal.glob("*.jsonl")):
        for entry in read_entries(path):
            used = sums[entry["stage"]]
            used.requests += 1
            used.prompt_tokens += entry["prompt_tokens"]
            used.completion_tokens += entry["completion_tokens"]
            used.seconds += entry["seconds"]
    return tuple(
        StageUse(
            stage=stage,
            requests=used.requests,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            seconds=used.seconds,
        )
        for stage, used in sums.items()
    )
