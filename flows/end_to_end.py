"""The loop: build a dataset, train a model on it, and evaluate the model on held-out videos."""

from pathlib import Path

from prefect import flow, task

from refsav.benchmarks.contact_sheets import FOLDER as STRIPS
from refsav.benchmarks.loop_report import LoopScores, write_page
from refsav.benchmarks.result import BenchmarkResult
from refsav.benchmarks.suites.options import Control, SuiteOptions
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.lock import exclusive
from refsav.flows.benchmark import benchmark_sa2va
from refsav.flows.build import build_ref_sav
from refsav.flows.config.end_to_end import EndToEndConfig, LoopDirectory
from refsav.flows.train import train_sa2va
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.run import save_untrained
from refsav.model.training_config import TrainConfig

SUITE = "ref-sav"


@flow(name="end-to-end")
def end_to_end(source: Path, run: Path, config: EndToEndConfig) -> LoopScores:
    """Build Ref-SAV, train Sa2VA on it and benchmark the model; steps that are done already are skipped.

    Three scores belong together: of the trained model, of the same model before training, and of the trained model
    prompted with another object's expression. A model that segments the most salient object and ignores the expression
    scores as high in the third as in the first.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        run: Directory of the loop, with a folder each for dataset, training and benchmarks.
        config: All settings.
    """
    places = LoopDirectory(run)
    with exclusive(run):
        build_ref_sav(source, places.dataset, config.build)
        training = config.training_on(places.dataset)
        trained = train_sa2va(training, places.training, launcher=config.launcher)
        untrained = keep_untrained(training, places.training)
        benchmarks: dict[str, tuple[Path, Control]] = {
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
            for name, (checkpoint, control) in benchmarks.items()
        }
        return publish_outcome(places, results)


@task
def keep_untrained(config: TrainConfig, run: Path) -> Path:
    """Save the model as it is before training, next to the trained one."""
    return save_untrained(TrainingDirectory(run), config)


@task
def publish_outcome(places: LoopDirectory, results: dict[str, BenchmarkResult]) -> LoopScores:
    """Write benchmark.json and the report page."""
    outcome = LoopScores.of(results)
    write_page(
        places.report,
        places.root.name,
        outcome,
        gallery=RunDirectory(places.dataset).report / "index.html",
        curve=TrainingDirectory(places.training).curve,
        strips=sorted((places.benchmark("trained") / STRIPS).glob("*.jpg")),
    )
    outcome.write(places.outcome)  # last: its existence means that all other files are complete
    return outcome
