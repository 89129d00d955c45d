"""The layout of a run directory, which holds all files of one build (docs/formats.md)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run; reads and writes nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        """Configuration as used, versions, and digests of the prompts."""
        return self.root / "run.toml"

    @property
    def bundles(self) -> Path:
        """One JSON file per bundle: its videos."""
        return self.root / "bundles"

    @property
    def state(self) -> Path:
        """What a build needs to know about the previous build; without it, some work is repeated."""
        return self.root / ".state"

    @property
    def seen(self) -> Path:
        """Digest, size and modification time of each annotation file whose objects were described."""
        return self.state / "seen.json"

    @property
    def seen_media(self) -> Path:
        """Size in bytes of each video's media when it was described; -1 if the media was missing."""
        return self.state / "media.json"

    @property
    def part_digests(self) -> Path:
        """Digest, size and modification time of the parts that shards and gallery were made from."""
        return self.state / "part-digests.json"

    @property
    def finished(self) -> Path:
        """Digest of the configuration; exists only while the build has no work left."""
        return self.state / "finished"

    @property
    def stored(self) -> Path:
        """Files that were equal in this folder and in the run's storage when the two were last synchronized."""
        return self.state / "stored.json"

    @property
    def journal(self) -> Path:
        """One JSONL file per bundle: every model reply, so that no request is paid for twice."""
        return self.root / "journal"

    @property
    def logs(self) -> Path:
        """One JSONL file per bundle: the result of each object, if `runner.json_logs` is on."""
        return self.root / "logs"

    @property
    def expressions(self) -> Path:
        """Parquet parts of objects that passed all stages."""
        return self.root / "expressions"

    @property
    def dropped(self) -> Path:
        """Parquet parts of objects that a filter or the judge dropped."""
        return self.root / "dropped"

    @property
    def failed(self) -> Path:
        """Parquet parts of objects that could not be described; a bundle is done when its part is here."""
        return self.root / "failed"

    @property
    def unreadable(self) -> Path:
        """Parquet parts of files whose objects could not be listed."""
        return self.root / "unreadable"

    @property
    def measures(self) -> Path:
        """Parquet parts of measurements of each video's frames."""
        return self.root / "measures"

    @property
    def splits(self) -> Path:
        """The split of each video: train or val."""
        return self.root / "splits.parquet"

    @property
    def shards(self) -> Path:
        """WebDataset shards, one folder per split."""
        return self.root / "shards"

    @property
    def exports(self) -> Path:
        """The official layouts: Ref-SAV.json and the evaluation set."""
        return self.root / "exports"

    @property
    def review(self) -> Path:
        """Questions to reviewers about the validation set, and their answers."""
        return self.root / "review"

    @property
    def review_settings(self) -> Path:
        """The configuration of the review."""
        return self.review / "review.toml"

    @property
    def queue(self) -> Path:
        """The questions to reviewers."""
        return self.review / "queue.jsonl"

    @property
    def review_project(self) -> Path:
        """The Label Studio project that holds the queue."""
        return self.review / "label-studio.json"

    @property
    def answers(self) -> Path:
        """Every answer, oldest first: who answered what and when. Append-only."""
        return self.review / "answers.jsonl"

    @property
    def review_summary(self) -> Path:
        """Results of the review, and the agreement of annotators."""
        return self.review / "summary.json"

    @property
    def stats(self) -> Path:
        """Statistics of the run, machine-readable."""
        return self.root / "stats.json"

    @property
    def problems(self) -> Path:
        """Every problem of the run, one line each; missing if there was no problem."""
        return self.root / "problems.txt"

    @property
    def report(self) -> Path:
        """The gallery's folder; open its index.html."""
        return self.root / "report"
