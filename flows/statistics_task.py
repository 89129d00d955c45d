"""Statistics of a run: counted from its parts and journals, written to stats.json; its problems to problems.txt."""

from refsav.annotators.bundles.token_usage import stage_use
from refsav.datasets.records import STAGES, Stage
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics import run_statistics as statistics
from refsav.datasets.statistics.problems import write_problems
from refsav.datasets.statistics.properties import read_measures
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.flows.config.build import BuildConfig


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
        gpus_per_request=gpus_per_request(config),
    )
    statistics.write_statistics(run, collected)
    write_problems(run)
    return collected


def gpus_per_request(config: BuildConfig) -> dict[Stage, float]:
    """GPUs of a stage's server over the requests that it works on at a time; 0 where they are not known."""
    return {stage: (config.judge if stage == "judge" else config.vlm).gpus_per_request for stage in STAGES}
