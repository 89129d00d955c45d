"""`refsav estimate`: the cost of a build, from some of its videos and the speed of the models."""

from dataclasses import replace
from pathlib import Path

from refsav.annotators.bundles.estimate import Experience, estimate, sample_source
from refsav.annotators.serving.profile import ServeProfile, load_profile
from refsav.commands.run_flows import out
from refsav.commands.summary import print_capacity, print_estimate
from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.config.build import BuildConfig, read_settings
from refsav.flows.statistics_task import gpus_per_request


def estimate_build(
    source: Path,
    config: BuildConfig,
    *,
    profile: str,
    like: Path | None,
    videos: int,
    of_videos: int,
    gpus: int,
    euros: float,
) -> None:
    """Print an estimate.

    Args:
        source: Folder of videos.
        config: The settings of the build.
        profile: Name or path of the models' profile.
        like: Run whose measured token counts are used; None for assumed ones.
        videos: Number of videos to read.
        of_videos: Number of videos of the build, assumed to be like those that are read; 0 for all of the source.
        gpus: Devices that share the work; 0 for those of one server of each model.
        euros: Price of a device's hour; 0 shows no cost.

    Raises:
        RecordError: If the source or the run cannot be used.
        ConfigError: If there is no such profile.
    """
    served = load_profile(profile)
    experience = _experience(like, served) if like else Experience.assumed()
    sample = sample_source(source, config.source, videos)
    if of_videos:
        sample = replace(sample, videos=of_videos)
    stages = estimate(sample, config, served, experience)
    models = f"{profile}: {served.vlm.model}, judge {served.judge.model}"
    print_estimate(out, sample, stages, served.vlm.figures.device, f"{models}; {experience.origin}")
    print_capacity(out, stages, gpus or served.vlm.tensor_parallel + served.judge.tensor_parallel, euros)


def _experience(like: Path, served: ServeProfile) -> Experience:
    """Use the lengths of a run's replies, and its prompts and seconds too if it used the models of the profile."""
    _, config = read_settings(RunDirectory(like))
    same = (config.vlm.model, config.judge.model) == (served.vlm.served_model_name, served.judge.served_model_name)
    return Experience.of_run(RunDirectory(like), gpus_per_request(config) if same else None)
