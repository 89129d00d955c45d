"""What a source has that a run has not: new videos, and videos that have changed since."""

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
from refsav.digests import Digests
from refsav.errors import RecordError
from refsav.files import write_text


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What there is to do for a build of this run."""

    new: tuple[str, ...]
    """Videos that no bundle holds."""
    changed: tuple[str, ...]
    """Videos whose annotations or media are others than those that were described."""
    begun: tuple[str, ...]
    """Bundles that are planned and not done."""

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.begun)

    def __str__(self) -> str:
        counts = {"new videos": self.new, "changed videos": self.changed, "open bundles": self.begun}
        told = [f"{what}: {len(ones)}" for what, ones in counts.items() if ones]
        return ", ".join(told) or "no new video, none changed"


def look_for_news(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> News:
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
    return News(
        new=tuple(new),
        changed=tuple(changed),
        begun=tuple(bundle.name for bundle in bundles if needs_work(run, bundle.name)),
    )


def take_up_changed(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> int:
    """Open the bundles again whose videos have changed; give the number of such videos.

    Only what was described of these videos is set aside; the bundle's journal still holds every reply, so that a
    request that comes out the same is not paid again. What videos are like now is kept for the next time, and
    last: killed before, the next call does it all again.

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
    """What annotations and media were like when they were last looked at.

    Of media the size tells, as it does for shards: to read all videos takes hours. A file that is gone or cannot be
    read is no change, and what was made of it stays; one of which nothing is known is taken as it is.
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
