"""The whole loop: a dataset is built, a model learns from it, and what it has learnt is measured on held-out videos."""

from pathlib import Path

from prefect import flow, task

from refsav.benchmarks.loop_report import Outcome, write_report
from refsav.flows.benchmark import benchmark_sa2va
from refsav.flows.build import build_ref_sav
from refsav.flows.end_to_end_config import EndToEndConfig, EndToEndRun
from refsav.flows.train import train_sa2va
from refsav.lock import exclusive
from refsav.model.train_config import OriginConfig
from refsav.model.training_run import TrainRun, keep_origin

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
        trained = train_sa2va(config.training_on(places.dataset), places.training)
        untrained = keep_untrained(config.training.model, places.untrained)
        asked = {"trained": (trained, "none"), "untrained": (untrained, "none"), "shuffled": (trained, "shuffled")}
        results = {
            name: benchmark_sa2va(
                checkpoint, places.held_out, SUITE, places.benchmark(name), config.inference, control=control
            )
            for name, (checkpoint, control) in asked.items()
        }
        return publish_outcome(places, results)
