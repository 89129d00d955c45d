"""Statistics of a run: counted from its parts and journals, written to stats.json; its problems to problems.txt."""

from refsav.annotators.usage import stage_use
from refsav.datasets import statistics
from refsav.datasets.measures import read_measures
from refsav.datasets.problems import write_problems
from refsav.datasets.run import RunDirectory
from refsav.datasets.statistics import Gpus, Statistics
from refsav.flows.build_config import BuildConfig


def write_statistics(run: RunDirectory, config: BuildConfig) -> Statistics:
    """Count and measure a run, and write stats.json and problems.txt.

    Raises:
        CountsError: If expressions + dropped + failed are not the objects read.
        RecordError: If a part or a journal cannot be read.
        DiskError: If stats.json cannot be written.
    """
    collected = statistics.collect(
        run,
        config.measures,
        objects_read=sum(video.objects for video in read_measures(run)),
        use=stage_use(run),
        gpus=Gpus(count=config.runner.gpus, requests_at_once=_requests_at_once(config)),
    )
    statistics.write_statistics(run, collected)
    write_problems(run)
    return collected


def _requests_at_once(config: BuildConfig) -> int:
    return config.vlm.in_flight_per_server * len(config.vlm.addresses) * config.runner.bundles_at_once
