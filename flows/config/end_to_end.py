"""The configuration of the whole loop, and where its parts lie."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from refsav.config import Config
from refsav.datasets.official.evaluation_export import EVALUATION_FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.training_sources.config import DataConfig
from refsav.datasets.training_sources.ref_sav import RefSavConfig
from refsav.flows.config.build import BuildConfig
from refsav.model.inference_settings import InferenceSettings
from refsav.model.training_config import TrainConfig, TrainingConfig


class ExamplesConfig(Config):
    """What a training example takes of a video of the dataset."""

    frames: int = Field(5, ge=1, description="Frames, at random.")
    objects: int = Field(5, ge=1, description="Objects, at most.")
    usual_wording: float = Field(0.5, ge=0, le=1, description="Share of questions in the wording of inference.")


class LoopConfig(Config):
    """How a dataset is built, learnt from, and what was learnt is measured."""

    build: BuildConfig = Field(BuildConfig(), description="The dataset.")
    examples: ExamplesConfig = Field(ExamplesConfig(), description="What is learnt from.")
    training: TrainingConfig = Field(TrainingConfig(), description="How it is learnt.")
    launcher: str = Field(
        "", description='What starts training on several devices: "accelerate launch --multi_gpu --num_processes 8".'
    )
    inference: InferenceSettings = Field(InferenceSettings(), description="How the model is asked.")

    def training_on(self, dataset: Path) -> TrainConfig:
        """The training's own configuration: on the shards of this run."""
        source = RefSavConfig(path=str(dataset), **self.examples.model_dump())
        return TrainConfig(**dict(self.training), data=DataConfig(sources=(source,)))


class EndToEndConfig(LoopConfig):
    """Everything that the whole loop can be told."""

    scenes: SynthConfig = Field(SynthConfig(), description="Made videos, where none are given.")


@dataclass(frozen=True, slots=True)
class EndToEndRun:
    """Where everything of one loop lies. Knows names, reads and writes nothing."""

    root: Path

    @property
    def dataset(self) -> Path:
        """Run directory of the build."""
        return self.root / "dataset"

    @property
    def held_out(self) -> Path:
        """The dataset's val split in the official evaluation layout."""
        return RunDirectory(self.dataset).exports / EVALUATION_FOLDER

    @property
    def training(self) -> Path:
        """Run directory of the training."""
        return self.root / "training"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.training / "model"

    @property
    def outcome(self) -> Path:
        """The figures."""
        return self.root / "benchmark.json"

    @property
    def report(self) -> Path:
        """Folder of the page that shows them."""
        return self.root / "report"

    @property
    def page(self) -> Path:
        """That page."""
        return self.report / "index.html"

    def benchmark(self, name: str) -> Path:
        """A run of the benchmark."""
        return self.root / "benchmarks" / name
