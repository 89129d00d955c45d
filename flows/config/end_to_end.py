"""The configuration of the loop (build, train, benchmark), and the paths in its directory."""

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
    """How a training example is sampled from a video of the dataset."""

    frames: int = Field(5, ge=1, description="Frames per example, sampled at random.")
    objects: int = Field(5, ge=1, description="Largest number of objects per example.")
    usual_wording: float = Field(0.5, ge=0, le=1, description="Fraction of questions in the wording of inference, 0-1.")


class LoopConfig(Config):
    """How a dataset is built, trained on, and the model evaluated."""

    build: BuildConfig = Field(BuildConfig(), description="The dataset.")
    examples: ExamplesConfig = Field(ExamplesConfig(), description="Sampling of training examples.")
    training: TrainingConfig = Field(TrainingConfig(), description="The training.")
    launcher: str = Field(
        "",
        description='Starts training on several devices: "accelerate launch --multi_gpu --num_processes 8".',
    )
    inference: InferenceSettings = Field(InferenceSettings(), description="Inference during the benchmark.")

    def training_on(self, dataset: Path) -> TrainConfig:
        """Return the configuration of a training on the shards of a run."""
        source = RefSavConfig(path=str(dataset), **self.examples.model_dump())
        return TrainConfig(**dict(self.training), data=DataConfig(sources=(source,)))


class EndToEndConfig(LoopConfig):
    """All settings of the loop."""

    scenes: SynthConfig = Field(SynthConfig(), description="Synthetic videos, used if no source is given.")


@dataclass(frozen=True, slots=True)
class LoopDirectory:
    """Paths in the directory of one loop; reads and writes nothing."""

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
        """Scores of all benchmarks."""
        return self.root / "benchmark.json"

    @property
    def report(self) -> Path:
        """Folder of the report page."""
        return self.root / "report"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.report / "index.html"

    def benchmark(self, name: str) -> Path:
        """Directory of one benchmark."""
        return self.root / "benchmarks" / name
