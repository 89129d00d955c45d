"""Referring video sets: videos, what is said of their objects, and where those are. One shape for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.datasets.external.checked_json import Published, checked, path_below, read_json
from refsav.datasets.external.video_masks import FrameMasks, TrueMasks
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldExpression:
    """An expression as the set's file has it: its masks have not been looked at."""

    exp_id: str
    text: str
    kind: str
    object_ids: tuple[str, ...]
    mask_keys: tuple[str, ...]
    """What its masks are found by; none: it means nothing, or only a test server knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldVideo:
    """A video as the set's file has it: neither frames nor masks have been looked at."""

    video_id: str
    frames: tuple[Path, ...]
    """Pictures, sorted by name."""
    listed: tuple[str, ...]
    """Names of the frames in the order of the file, which is that of the masks."""
    places: tuple[int, ...]
    """Where each of `frames` stands in `listed`."""
    expressions: tuple[ToldExpression, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferringExpression:
    """Words that mean one or several objects of a video."""

    exp_id: str
    """The set's own number, as text."""
    text: str
    kind: str
    """long or short (Ref-SAV); referring or reasoning (ReVOS); annotator 1 to 4 (Ref-DAVIS17); empty elsewhere."""
    object_ids: tuple[str, ...]
    """The set's names of the objects; two expressions of a video with the same ones mean the same. May be empty."""
    truth: FrameMasks | None
    """Pixels of any of the objects, one mask a frame; None for all where only a test server knows them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionVideo:
    """One video of a set; its frames have not been looked at."""

    video_id: str
    """May hold slashes (ReVOS)."""
    frames: tuple[Path, ...]
    """Pictures, sorted by name; a submission's masks have the same names."""
    size: tuple[int, int] | None
    """(height, width) of the true masks in pixels; None where there are none."""
    expressions: tuple[ReferringExpression, ...]
    void: FrameMasks | None = None
    """Pixels of which no annotator was sure (Ref-DAVIS17), one mask a frame; None where a set has none."""


class PublishedExpression(Published):
    """One expression as `meta_expressions*.json` has it."""

    exp: str
    anno_id: tuple[str, ...] | str = ()
    obj_id: tuple[str, ...] | str = ()
    type_id: int | None = None

    @property
    def mask_keys(self) -> tuple[str, ...]:
        """What its masks are called in a table."""
        return (self.anno_id,) if isinstance(self.anno_id, str) else self.anno_id

    @property
    def object_ids(self) -> tuple[str, ...]:
        """What its objects are called."""
        return (self.obj_id,) if isinstance(self.obj_id, str) else self.obj_id


class _PublishedVideo(Published):
    frames: tuple[str, ...]
    expressions: dict[str, PublishedExpression]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionLayout:
    """Where the parts of a set lie, and what its numbers mean."""

    name: str
    """What results call it."""
    expressions: Path
    """`meta_expressions*.json`."""
    frames: Path
    """Folder that holds a folder of pictures a video."""
    masks: TrueMasks | None
    """None where only a test server knows them."""
    keys: str = "anno_id"
    """What finds an expression's masks: anno_id; obj_id; or count, its place among all expressions, sorted."""
    kinds: Mapping[int, str]
    """What `type_id` means; where it is empty, expressions have no kinds."""
    void_key: str = ""
    """What finds the masks of void pixels; empty where there are none."""
    annotators: int = 1
    """Expressions of one object follow each other, one of each annotator."""
    without: frozenset[str] = frozenset()
    """Videos of the file that are not in the set."""


class ExpressionVideos:
    """The videos of a set, each read when it is asked for."""

    def __init__(self, layout: ExpressionLayout) -> None:
        """Read the file of expressions. Raises RecordError."""
        content = read_json(layout.expressions)
        videos = content.get("videos") if isinstance(content, dict) else None
        if not isinstance(videos, dict):
            problem = "has no videos"
            raise RecordError(layout.expressions, "videos", problem, "give the set's meta_expressions file")
        self._layout = layout
        self._videos: dict[str, Any] = {key: video for key, video in videos.items() if key not in layout.without}
        self.ids: tuple[str, ...] = tuple(self._videos)
        """Video ids in the order of the file."""
        self._counted = self._count() if layout.keys == "count" else {}

    @property
    def name(self) -> str:
        """What results call the set."""
        return self._layout.name

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that the set is told by, for a digest: expressions and masks, not the frames."""
        return (self._layout.expressions, *(self._layout.masks.files if self._layout.masks else ()))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ExpressionVideo]:
        """Go through all videos. Raises RecordError at the first that is not as published; `read` goes on behind it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> ExpressionVideo:
        """Give the video of this place in `ids`, with all its masks.

        Raises:
            RecordError: If it is not as published, or its masks do not fit.
        """
        video = self.told(index)
        rows = range(len(video.frames))
        expressions = tuple(
            ReferringExpression(
                exp_id=one.exp_id,
                text=one.text,
                kind=one.kind,
                object_ids=one.object_ids,
                truth=self.truth(video, one.mask_keys, rows),
            )
            for one in video.expressions
        )
        sizes = {mask.size for one in expressions for mask in one.truth or () if mask is not None}
        if len(sizes) > 1:
            where, problem = f"videos.{video.video_id}", f"has masks of several sizes: {sorted(sizes)}"
            raise RecordError(self._layout.expressions, where, problem, "download the masks again")
        void = self.truth(video, (self._layout.void_key,), rows) if self._layout.void_key else None
        return ExpressionVideo(
            video_id=video.video_id,
            frames=video.frames,
            size=next(iter(sizes), None),
            expressions=expressions,
            void=void if void and any(void) else None,
        )

    def told(self, index: int) -> ToldVideo:
        """Give what the file says of the video of this place in `ids`. Raises RecordError if it is not as published."""
        video_id, path = self.ids[index], self._layout.expressions
        where = f"videos.{video_id}"
        folder = path_below(self._layout.frames, video_id, path, where)
        video = checked(_PublishedVideo, self._videos[video_id], path, where)
        if not video.frames:
            raise RecordError(path, f"{where}.frames", "lists no frame", "download the file again")
        places = sorted(range(len(video.frames)), key=video.frames.__getitem__)
        return ToldVideo(
            video_id=video_id,
            frames=tuple(path_below(folder, f"{video.frames[place]}.jpg", path, f"{where}.frames") for place in places),
            listed=video.frames,
            places=tuple(places),
            expressions=tuple(
                ToldExpression(
                    exp_id=exp_id,
                    text=entry.exp,
                    kind=self._kind(place, entry),
                    object_ids=entry.object_ids,
                    mask_keys=self._keys(video_id, exp_id, entry) if self._layout.masks else (),
                )
                for place, (exp_id, entry) in enumerate(video.expressions.items())
            ),
        )

    def truth(self, video: ToldVideo, mask_keys: Sequence[str], rows: Sequence[int]) -> FrameMasks | None:
        """Give the masks of some objects in some of a video's frames, and look at no others.

        Args:
            video: What `told` gave.
            mask_keys: Of an expression.
            rows: Places in `video.frames`.

        Returns:
            One mask a row; None for all where only a test server knows them.

        Raises:
            RecordError: If they are not there, or do not fit.
        """
        if self._layout.masks is None:
            return None
        return self._layout.masks.of(video.video_id, video.listed, mask_keys, [video.places[row] for row in rows])

    def _kind(self, place: int, entry: PublishedExpression) -> str:
        if self._layout.annotators > 1:
            return f"annotator {place % self._layout.annotators + 1}"
        if entry.type_id is None or not self._layout.kinds:
            return ""
        return self._layout.kinds.get(entry.type_id, f"type {entry.type_id}")

    def _keys(self, video_id: str, exp_id: str, entry: PublishedExpression) -> tuple[str, ...]:
        if self._layout.keys == "count":
            return (self._counted[video_id, exp_id],)
        keys = entry.mask_keys if self._layout.keys == "anno_id" else entry.object_ids
        if not keys and self._layout.keys not in entry.model_fields_set:  # a list that is there and empty: no object
            where, problem = f"videos.{video_id}.expressions.{exp_id}", f"has no {self._layout.keys}, so it has no mask"
            raise RecordError(self._layout.expressions, where, problem, "take a split whose masks are published")
        return keys

    def _count(self) -> dict[tuple[str, str], str]:
        """Number all expressions as the makers of the table did: videos sorted, in each its expressions as text."""
        pairs = [
            (video_id, exp_id)
            for video_id, video in sorted(self._videos.items())
            for exp_id in sorted(video.get("expressions", ()) if isinstance(video, dict) else ())
        ]
        return {pair: str(number) for number, pair in enumerate(pairs)}
