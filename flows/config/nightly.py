"""The configuration of a nightly run, and the paths in its directory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import sha256_of, write_bytes
from refsav.errors import RecordError
from refsav.flows.config.end_to_end import LoopConfig
from refsav.flows.config.gates import GatesConfig, Promoted


class NightlyConfig(LoopConfig):
    """All settings of a nightly run: of the build, the gates, the training and the benchmark."""

    gates: GatesConfig = Field(GatesConfig(), description="Limits for training and for promotion.")


@dataclass(frozen=True, slots=True)
class NightlyDirectory:
    """Paths of the trials of all nightly runs; reads and writes promoted.json only."""

    root: Path

    @property
    def promoted(self) -> Path:
        """Record of the checkpoint that is in use."""
        return self.root / "promoted.json"

    def trial(self, dataset_digest: str) -> Path:
        """Folder of the training on one state of the dataset; an interrupted nightly run is resumed here."""
        return self.root / "trials" / dataset_digest[:16]

    def training(self, dataset_digest: str) -> Path:
        """Run directory of the training on a dataset."""
        return self.trial(dataset_digest) / "training"

    def benchmark(self, dataset_digest: str, name: str) -> Path:
        """Directory of a benchmark on its val split: `new`, or `promoted` for the checkpoint that was in use then."""
        return self.trial(dataset_digest) / "benchmarks" / name

    def read_promoted(self) -> Promoted | None:
        """Read the record of the checkpoint in use; None if there is no such checkpoint. Raises RecordError."""
        try:
            return _PROMOTED.validate_json(self.promoted.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            fix = "put it back as it was, or delete it: then the next checkpoint is promoted with any score"
            raise RecordError(self.promoted, "", f"cannot be read: {error}", fix) from None

    def write_promoted(self, promoted: Promoted) -> None:
        """Record the checkpoint in use. Raises DiskError."""
        write_bytes(self.promoted, _PROMOTED.dump_json(promoted, indent=1) + b"\n")


def digest_of_dataset(dataset: RunDirectory) -> str:
    """Hex SHA-256 over the indexes of a run's shards, which hold the digest of every shard."""
    indexes = sorted(dataset.shards.glob("*/index.json"))
    return hashlib.sha256("\n".join(f"{path.parent.name} {sha256_of(path)}" for path in indexes).encode()).hexdigest()


_PROMOTED = TypeAdapter(Promoted)
