"""A nightly run: update the dataset and, if it passes the gates, train, evaluate and promote a checkpoint."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.annotators.bundles.plan import remaining
from refsav.benchmarks.result import BenchmarkResult
from refsav.datasets.official.evaluation_export import EVALUATION_FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import read_statistics
from refsav.disk.lock import LockedError, exclusive
from refsav.flows.benchmark import benchmark_sa2va
from refsav.flows.config.gates import Promoted, Score, reasons_not_to_promote, reasons_not_to_train
from refsav.flows.config.nightly import NightlyConfig, NightlyDirectory, digest_of_dataset
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, REFUSED, notifies
from refsav.flows.reporting.progress import print_line
from refsav.flows.train import train_sa2va
from refsav.flows.update import update_ref_sav

SUITE = "ref-sav"


@notifies
@flow(name="nightly")
def nightly(
    source: Path,
    dataset: Path,
    run: Path,
    config: NightlyConfig = NightlyConfig(),  # noqa: B008 - frozen; Prefect's form shows what it holds
) -> Promoted | State[Any]:
    """Build, train and benchmark, each step only if a gate lets it through; promote a checkpoint that is not worse.

    A run that a gate stops ends in the completed state Refused with the reasons, not as a failure. All paths are
    relative to the folder of the deployment.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        dataset: Run directory of the build, the same as that of build-ref-sav.
        run: Directory for trials and promoted.json.
        config: All settings.
    """
    source, dataset, places = source.resolve(), dataset.resolve(), NightlyDirectory(run.resolve())
    try:
        with exclusive(places.root):
            updated = update_ref_sav(source, dataset, config.build, return_state=True)
            if updated.name == BUSY:
                return Completed(name=BUSY, message=updated.message)
            updated.result()
            reasons = gate_dataset(dataset, places, config)
            return _refused(places, "not trained", reasons) if reasons else train_and_compare(dataset, places, config)
    except LockedError as error:
        return Completed(name=BUSY, message=str(error).partition("\n")[0])


@task
def gate_dataset(dataset: Path, places: NightlyDirectory, config: NightlyConfig) -> list[str]:
    """List the reasons not to train on the dataset; an empty list lets it through."""
    directory = RunDirectory(dataset)
    if not directory.stats.exists():
        return ["nothing is built yet"]
    statistics = read_statistics(directory)
    undone = remaining(directory, Path()).bundles  # a count does not need the plan's paths
    return reasons_not_to_train(statistics, undone, places.read_promoted(), config.gates)


def train_and_compare(dataset: Path, places: NightlyDirectory, config: NightlyConfig) -> Promoted | State[Any]:
    """Train on the dataset, evaluate the new and the promoted checkpoint, and promote the new one if not worse."""
    directory, promoted = RunDirectory(dataset), places.read_promoted()
    digest = digest_of_dataset(directory)
    checkpoint = train_sa2va(config.training_on(dataset), places.training(digest), launcher=config.launcher)
    held_out = directory.exports / EVALUATION_FOLDER

    def score(name: str, model: Path) -> Score:
        folder = places.benchmark(digest, name)
        return _score(benchmark_sa2va(model, held_out, SUITE, folder, settings=config.inference))

    new = score("new", checkpoint)
    # The val split grows with the dataset, so the promoted checkpoint is evaluated again, on the same videos.
    old = score("promoted", Path(promoted.checkpoint)) if promoted else None
    reasons = reasons_not_to_promote(new, old, config.gates)
    return _refused(places, "not promoted", reasons) if reasons else promote(dataset, places, checkpoint, digest, new)


@task
def promote(dataset: Path, places: NightlyDirectory, checkpoint: Path, digest: str, score: Score) -> Promoted:
    """Write promoted.json."""
    promoted = Promoted(
        checkpoint=str(checkpoint),
        dataset_digest=digest,
        expressions=read_statistics(RunDirectory(dataset)).expressions,
        jf=score.jf,
    )
    places.write_promoted(promoted)
    text = f"`{promoted.checkpoint}`: J&F {promoted.jf:.1f}, trained on {promoted.expressions} expressions"
    publish_markdown(f"{places.root.name} outcome", f"# Promoted\n\n{text}", "Result of the nightly run")
    return promoted


def _score(result: BenchmarkResult) -> Score:
    return Score(jf=result.scores["overall"]["J&F"], held_out=result.setup.dataset_digest, is_whole=result.is_whole)


def _refused(places: NightlyDirectory, decision: str, reasons: list[str]) -> State[Any]:
    line = f"{decision}: {'; '.join(reasons)}"
    print_line(line)
    page = f"# {decision.capitalize()}\n\n" + "\n".join(f"- {reason}" for reason in reasons)
    publish_markdown(f"{places.root.name} outcome", page, "Result of the nightly run")
    return Completed(name=REFUSED, message=line)
