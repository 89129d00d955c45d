"""Where everything of one build lies: the run directory and its layout (docs/formats.md)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run. Knows names, reads and writes nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        """Configuration as used, versions, prompt digests."""
        return self.root / "run.toml"

    @property
    def bundles(self) -> Path:
        """One JSON file per bundle: the videos that it holds."""
        return self.root / "bundles"

    @property
    def state(self) -> Path:
        """What a build needs to know of the build before, and nobody else; without it more is done again."""
        return self.root / ".state"

    @property
    def seen(self) -> Path:
        """Digest, size and time of each annotation file that was described."""
        return self.state / "seen.json"

    @property
    def seen_media(self) -> Path:
        """Size in bytes of each video's media when it was described; -1 where there was none."""
        return self.state / "media.json"

    @property
    def part_digests(self) -> Path:
        """Digest, size and time of the parts that shards and gallery were made from."""
        return self.state / "part-digests.json"

    @property
    def finished(self) -> Path:
        """There while nothing of a build is left to do: the digest of its configuration."""
        return self.state / "finished"

    @property
    def stored(self) -> Path:
        """What this folder and the storage that keeps the run had the same when they were last compared."""
        return self.state / "stored.json"

    @property
    def journal(self) -> Path:
        """One JSONL file per bundle: every reply that was paid for."""
        return self.root / "journal"

    @property
    def logs(self) -> Path:
        """One JSONL file per bundle: what became of its objects, if the build was told to keep it."""
        return self.root / "logs"

    @property
    def expressions(self) -> Path:
        """Parquet parts of objects that came through."""
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
        """Parquet parts of files of which not even the objects could be listed."""
        return self.root / "unreadable"

    @property
    def measures(self) -> Path:
        """Parquet parts of what was measured in each video's frames."""
        return self.root / "measures"

    @property
    def splits(self) -> Path:
        """Video to train or val."""
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
        """What people are asked about the validation set, and what they answer."""
        return self.root / "review"

    @property
    def review_settings(self) -> Path:
        """What the review was told."""
        return self.review / "review.toml"

    @property
    def queue(self) -> Path:
        """What people are asked."""
        return self.review / "queue.jsonl"

    @property
    def review_project(self) -> Path:
        """Where in Label Studio the queue is."""
        return self.review / "label-studio.json"

    @property
    def answers(self) -> Path:
        """Every answer, oldest first: who said what when. Nothing is ever taken out."""
        return self.review / "answers.jsonl"

    @property
    def review_summary(self) -> Path:
        """What came of the answers, and how far annotators agree."""
        return self.review / "summary.json"

    @property
    def stats(self) -> Path:
        """Statistics of the run, machine-readable."""
        return self.root / "stats.json"

    @property
    def problems(self) -> Path:
        """Every problem of the run, one line each; not there if there was none."""
        return self.root / "problems.txt"

    @property
    def report(self) -> Path:
        """The gallery's folder; open its index.html."""
        return self.root / "report"
