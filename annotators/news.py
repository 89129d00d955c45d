"""What a source has that a run has not: new videos, and videos whose annotations have changed since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from refsav.annotators.annotation import needs_work, set_aside
from refsav.annotators.plan import Bundle, read_plan, write_bundle
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run import RunDirectory
from refsav.digests import Digests
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What there is to do for a build of this run."""

    new: tuple[str, ...]
    """Videos that no bundle holds."""
    changed: tuple[str, ...]
    """Videos whose annotations are others than those that were described."""
    begun: tuple[str, ...]
    """Bundles that are planned and not done."""

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.begun)

    def __str__(self) -> str:
        counts = {"new videos": self.new, "videos with changed annotations": self.changed, "open bundles": self.begun}
        told = [f"{what}: {len(ones)}" for what, ones in counts.items() if ones]
        return ", ".join(told) or "no new video, no changed annotation"


def look_for_news(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> News:
    """Compare a source with a run; writes nothing.

    Raises:
        RecordError: If the plan is damaged.
    """
    bundles = list(read_plan(run, source))
    known = {video.video_id for bundle in bundles for video in bundle.videos}
    seen = _seen(run, source)
    new: list[str] = []
    changed: list[str] = []
    for entry in entries:
        if isinstance(entry, Unreadable):
            continue
        if entry.video_id not in known:
            new.append(entry.video_id)
        elif _has_changed(entry, seen):
            changed.append(entry.video_id)
    return News(
        new=tuple(new),
        changed=tuple(changed),
        begun=tuple(bundle.name for bundle in bundles if needs_work(run, bundle.name)),
    )


def take_up_changed(run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable]) -> int:
    """Open the bundles again whose videos have changed annotations; give the number of such videos.

    Only what was described of these videos is set aside; the bundle's journal still holds every reply, so that a
    request that comes out the same is not paid again. What annotations are like now is kept for the next time, and
    last: killed before, the next call does it all again.

    Raises:
        RecordError: If the plan or a part is damaged.
        DiskError: If something cannot be written.
    """
    seen = _seen(run, source)
    changed = {entry.video_id: entry for entry in entries if isinstance(entry, VideoFile) and _has_changed(entry, seen)}
    for bundle in read_plan(run, source) if changed else ():
        if there := changed.keys() & {video.video_id for video in bundle.videos}:
            set_aside(run, bundle.name, there)
            write_bundle(run, source, _with(bundle, changed))
    seen.keep()
    return len(changed)


def _seen(run: RunDirectory, source: Path) -> Digests:
    return Digests(run.seen, source)


def _has_changed(video: VideoFile, seen: Digests) -> bool:
    """Tell whether annotations are others than before; a video of which nothing is known is taken as it is.

    A file that cannot be read is no change: what was made of it stays.
    """
    digests = {path: (seen.before(path), _now(path, seen)) for path in video.annotations}
    known = any(before for before, _ in digests.values())
    return known and any(now and now != before for before, now in digests.values())


def _now(path: Path, seen: Digests) -> str:
    try:
        return seen.of(path)
    except RecordError:
        return ""


def _with(bundle: Bundle, changed: Mapping[str, VideoFile]) -> Bundle:
    return replace(bundle, videos=tuple(changed.get(video.video_id, video) for video in bundle.videos))
