"""What has changed in a source since a run was built: new videos, and changed ones."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.annotators.bundles.bundle_task import needs_work, set_aside
from refsav.annotators.bundles.plan import Bundle, read_plan, write_bundle
from refsav.datasets.media import GONE, media_size
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.digests import Digests
from refsav.disk.files import write_text
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceChanges:
    """What a build of this run would have to do."""

    new: tuple[str, ...]
    """Videos that no bundle holds."""
    changed: tuple[str, ...]
    """Videos whose annotations or media differ from those that were described."""
    unfinished: tuple[str, ...]
    """Bundles that are planned but not done."""

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.unfinished)

    def __str__(self) -> str:
        counts = {"new videos": self.new, "changed videos": self.changed, "open bundles": self.unfinished}
        parts = [f"{what}: {len(ones)}" for what, ones in counts.items() if ones]
        return ", ".join(parts) or "no new video, none changed"


def find_changes(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> SourceChanges:
    """Compare a source with a run; writes nothing.

    Raises:
        RecordError: If the plan is damaged.
    """
    bundles = list(read_plan(run, source))
    known = {video.video_id for bundle in bundles for video in bundle.videos}
    seen = _Seen(run, source)
    new: list[str] = []
    changed: list[str] = []
    for entry in entries:
        if isinstance(entry, Unreadable):
            continue
        if entry.video_id not in known:
            new.append(entry.video_id)
        elif seen.has_changed(entry):
            changed.append(entry.video_id)
    return SourceChanges(
        new=tuple(new),
        changed=tuple(changed),
        unfinished=tuple(bundle.name for bundle in bundles if needs_work(run, bundle.name)),
    )


def reopen_changed(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> int:
    """Reopen the bundles whose videos have changed; return the number of such videos.

    Only the results of these videos are removed. The journal still has every reply, so that an unchanged request costs
    nothing. The current state of the videos is stored last: after a kill, the next call repeats everything.

    Raises:
        RecordError: If the plan or a part is damaged.
        DiskError: If something cannot be written.
    """
    seen = _Seen(run, source)
    changed = {entry.video_id: entry for entry in entries if isinstance(entry, VideoFile) and seen.has_changed(entry)}
    for bundle in read_plan(run, source) if changed else ():
        if there := changed.keys() & {video.video_id for video in bundle.videos}:
            set_aside(run, bundle.name, there)
            write_bundle(run, source, _with(bundle, changed))
    seen.keep()
    return len(changed)


class _Seen:
    """The state of annotations and media at the last check.

    Media are compared by size, as for shards: reading all videos would take hours. A file that is missing or cannot be
    read is not a change, and its results stay; a file without an earlier state counts as unchanged.
    """

    def __init__(self, run: RunDirectory, source: Path) -> None:
        self._annotations = Digests(run.seen, source)
        self._path = run.seen_media
        self._before = _read_sizes(self._path)
        self._now = dict(self._before)

    def has_changed(self, video: VideoFile) -> bool:
        digests = {path: (self._annotations.before(path), self._digest(path)) for path in video.annotations}
        known = any(before for before, _ in digests.values())
        size, size_before = media_size(video.media), self._before.get(video.video_id)
        if size_before is None or size != GONE:
            self._now[video.video_id] = size
        described_otherwise = known and any(now and now != before for before, now in digests.values())
        return described_otherwise or (size_before is not None and size not in (GONE, size_before))

    def keep(self) -> None:
        """Raises DiskError."""
        self._annotations.keep()
        if self._now != self._before:
            write_text(self._path, json.dumps(self._now, sort_keys=True, indent=0) + "\n")

    def _digest(self, path: Path) -> str:
        try:
            return self._annotations.of(path)
        except RecordError:
            return ""


def _read_sizes(path: Path) -> Mapping[str, int]:
    try:
        return _SIZES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def _with(bundle: Bundle, changed: Mapping[str, VideoFile]) -> Bundle:
    return replace(bundle, videos=tuple(changed.get(video.video_id, video) for video in bundle.videos))


_SIZES = TypeAdapter(dict[str, int])
