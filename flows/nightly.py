"""A night's work: the dataset is brought up to date and, where it is good enough, trained on, measured and promoted."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.annotators.bundles.plan import remaining
from refsav.benchmarks.result import Result
from refsav.datasets.official.evaluation_export import EVALUATION_FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import read_statistics
from refsav.flows.benchmark import benchmark_sa2va
from refsav.flows.config.gates import Promoted, Score, reasons_not_to_promote, reasons_not_to_train
from refsav.flows.config.nightly import NightlyConfig, NightlyRun, digest_of_dataset
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, REFUSED, announced
from refsav.flows.reporting.progress import say
from refsav.flows.train import train_sa2va
from refsav.flows.update import update_ref_sav
from refsav.lock import LockedError, exclusive

SUITE = "ref-sav"


@announced
@flow(name="nightly")
def nightly(
    source: Path,
    dataset: Path,
    run: Path,
    config: NightlyConfig = NightlyConfig(),  # noqa: B008 - frozen; Prefect's form shows what it holds
) -> Promoted | State[Any]:
    """Build, train and benchmark, each only if what came before is good enough; promote what is not worse.

    What a gate refuses is a run that has completed and says why, not a failure.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts; relative to where it was deployed.
        dataset: Run directory of the build, the one that build-ref-sav has, likewise.
        run: Where trials and promoted.json go, likewise.
        config: All settings.
    """
    source, dataset, places = source.resolve(), dataset.resolve(), NightlyRun(run.resolve())
    try:
        with exclusive(places.root):
            updated = update_ref_sav(source, dataset, config.build, return_state=True)
            if updated.name == BUSY:
                return Completed(name=BUSY, message=updated.message)
            updated.result()
            reasons = gate_dataset(dataset, places, config)
            return _refused(places, "not trained", reasons) if reasons else learn(dataset, places, config)
    except LockedError as error:
        return Completed(name=BUSY, message=str(error).partition("\n")[0])


@task
def gate_dataset(dataset: Path, places: NightlyRun, config: NightlyConfig) -> list[str]:
    """Say why the dataset is not to be trained on; an empty list lets it through."""
    directory = RunDirectory(dataset)
    if not directory.stats.exists():
        return ["nothing is built yet"]
    statistics = read_statistics(directory)
    undone = remaining(directory, Path()).bundles  # the plan's paths do not matter for a count
    return reasons_not_to_train(statistics, undone, places.read_promoted(), config.gates)


def learn(dataset: Path, places: NightlyRun, config: NightlyConfig) -> Promoted | State[Any]:
    """Train on a dataset that is good enough, measure, and promote what is not worse."""
    directory, promoted = RunDirectory(dataset), places.read_promoted()
    digest = digest_of_dataset(directory)
    checkpoint = train_sa2va(config.training_on(dataset), places.training(digest), launcher=config.launcher)
    held_out = directory.exports / EVALUATION_FOLDER

    def score(name: str, of: Path) -> Score:
        folder = places.benchmark(digest, name)
        return _score(benchmark_sa2va(of, held_out, SUITE, folder, settings=config.inference))

    new = score("new", checkpoint)
    # The val split grows with the dataset: what is in use is measured anew, on the videos that the new one was.
    old = score("promoted", Path(promoted.checkpoint)) if promoted else None
    reasons = reasons_not_to_promote(new, old, config.gates)
    return _refused(places, "not promoted", reasons) if reasons else promote(dataset, places, checkpoint, digest, new)


@task
def promote(dataset: Path, places: NightlyRun, checkpoint: Path, digest: str, score: Score) -> Promoted:
    """Write promoted.json."""
    promoted = Promoted(
        checkpoint=str(checkpoint),
        dataset_digest=digest,
        expressions=read_statistics(RunDirectory(dataset)).expressions,
        jf=score.jf,
    )
    places.write_promoted(promoted)
    told = f"`{promoted.checkpoint}`: J&F {promoted.jf:.1f}, learnt from {promoted.expressions} expressions"
    publish_markdown(f"{places.root.name} outcome", f"# Promoted\n\n{told}", "What came of the night")
    return promoted


def _score(result: Result) -> Score:
    return Score(jf=result.scores["overall"]["J&F"], held_out=result.setup.dataset_digest, is_whole=result.is_whole)


def _refused(places: NightlyRun, what: str, reasons: list[str]) -> State[Any]:
    told = f"{what}: {'; '.join(reasons)}"
    say(told)
    page = f"# {what.capitalize()}\n\n" + "\n".join(f"- {reason}" for reason in reasons)
    publish_markdown(f"{places.root.name} outcome", page, "What came of the night")
    return Completed(name=REFUSED, message=told)
