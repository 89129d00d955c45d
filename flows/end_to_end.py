"""The whole loop: a dataset is built, a model learns from it, and what it has learnt is measured on held-out videos."""

from pathlib import Path

from prefect import flow, task

from refsav.benchmarks.contact_sheets import FOLDER as STRIPS
from refsav.benchmarks.loop_report import Outcome, write_page
from refsav.benchmarks.result import Result
from refsav.benchmarks.suites.options import Control, SuiteOptions
from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.benchmark import benchmark_sa2va
from refsav.flows.build import build_ref_sav
from refsav.flows.config.end_to_end import EndToEndConfig, EndToEndRun
from refsav.flows.train import train_sa2va
from refsav.lock import exclusive
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.run import save_untrained
from refsav.model.training_config import TrainConfig

SUITE = "ref-sav"


@flow(name="end-to-end")
def end_to_end(source: Path, run: Path, config: EndToEndConfig) -> Outcome:
    """Build Ref-SAV, train Sa2VA on it, benchmark it; all that is done already is left alone.

    Three figures belong together: of the trained model, of the same model before training, and of the trained one asked
    for each object with the words for another. A model that draws whatever stands out, whatever the words, is as good
    in the third as in the first.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        run: Where everything goes; dataset, training and benchmarks have a folder each.
        config: All settings.
    """
    places = EndToEndRun(run)
    with exclusive(run):
        build_ref_sav(source, places.dataset, config.build)
        training = config.training_on(places.dataset)
        trained = train_sa2va(training, places.training, launcher=config.launcher)
        untrained = keep_untrained(training, places.training)
        asked: dict[str, tuple[Path, Control]] = {
            "trained": (trained, "none"),
            "untrained": (untrained, "none"),
            "shuffled": (trained, "shuffled"),
        }
        results = {
            name: benchmark_sa2va(
                checkpoint,
                places.held_out,
                SUITE,
                places.benchmark(name),
                settings=config.inference,
                options=SuiteOptions(control=control),
            )
            for name, (checkpoint, control) in asked.items()
        }
        return publish_outcome(places, results)


@task
def keep_untrained(config: TrainConfig, run: Path) -> Path:
    """Keep the model as it is before training, beside what comes out."""
    return save_untrained(TrainingDirectory(run), config)


@task
def publish_outcome(places: EndToEndRun, results: dict[str, Result]) -> Outcome:
    """Write benchmark.json and the page."""
    outcome = Outcome.of(results)
    write_page(
        places.report,
        places.root.name,
        outcome,
        gallery=RunDirectory(places.dataset).report / "index.html",
        curve=TrainingDirectory(places.training).curve,
        strips=sorted((places.benchmark("trained") / STRIPS).glob("*.jpg")),
    )
    outcome.write(places.outcome)  # last: then all is there
    return outcome
