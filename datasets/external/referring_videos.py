"""Referring video object segmentation sets: videos, expressions and true masks, in one form for all sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.datasets.external.checked_json import Published, checked, path_below, read_json
from refsav.datasets.external.video_masks import FrameMasks, GroundTruthMasks
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionEntry:
    """An expression as listed in the set's file; its masks have not been read."""

    exp_id: str
    text: str
    kind: str
    object_ids: tuple[str, ...]
    mask_keys: tuple[str, ...]
    """Keys of its masks; empty if it refers to no object, or if only a test server has the masks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoEntry:
    """A video as listed in the set's file; neither frames nor masks have been read."""

    video_id: str
    frames: tuple[Path, ...]
    """Image files, sorted by name."""
    listed: tuple[str, ...]
    """Names of the frames in the order of the file, which is also the order of the masks."""
    positions: tuple[int, ...]
    """Index in `listed` of each of `frames`."""
    expressions: tuple[ExpressionEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferringExpression:
    """A text that refers to one or several objects of a video, with their masks."""

    exp_id: str
    """The set's own number, as text."""
    text: str
    kind: str
    """long or short (Ref-SAV); referring or reasoning (ReVOS); annotator 1 to 4 (Ref-DAVIS17); empty elsewhere."""
    object_ids: tuple[str, ...]
    """The set's ids of the objects; expressions of a video with equal ids refer to the same objects. May be empty."""
    truth: FrameMasks | None
    """Union of the objects' masks, one per frame in the order of the video's `frames`; None if only a test server has
    the masks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionVideo:
    """One video of a set with its expressions; its frames have not been read."""

    video_id: str
    """May contain slashes (ReVOS)."""
    frames: tuple[Path, ...]
    """Image files, sorted by name; a submission's masks have the same names."""
    size: tuple[int, int] | None
    """(height, width) of the true masks in pixels; None if there are no masks."""
    expressions: tuple[ReferringExpression, ...]
    void: FrameMasks | None = None
    """Void pixels, which the annotators left undecided (Ref-DAVIS17), one mask per frame; None if the set has none."""


class _PublishedExpression(Published):
    """One expression of `meta_expressions*.json`."""

    exp: str
    anno_id: tuple[str, ...] | str = ()
    obj_id: tuple[str, ...] | str = ()
    type_id: int | None = None

    @property
    def mask_keys(self) -> tuple[str, ...]:
        """Keys of its masks in a mask table."""
        return (self.anno_id,) if isinstance(self.anno_id, str) else self.anno_id

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Ids of its objects."""
        return (self.obj_id,) if isinstance(self.obj_id, str) else self.obj_id


class _PublishedVideo(Published):
    frames: tuple[str, ...]
    expressions: dict[str, _PublishedExpression]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionLayout:
    """The files of a set, and the meaning of their ids."""

    name: str
    """The set's name in results."""
    expressions: Path
    """`meta_expressions*.json`."""
    frames: Path
    """Folder with one folder of images per video."""
    masks: GroundTruthMasks | None
    """None if only a test server has them."""
    keys: str = "anno_id"
    """The key of an expression's masks: anno_id; obj_id; or count, its index among all expressions, sorted."""
    kinds: Mapping[int, str]
    """`type_id` to its meaning; empty if the set's expressions have no kinds."""
    void_key: str = ""
    """The key of the masks of void pixels; empty if there are none."""
    annotators: int = 1
    """Annotators who each wrote one expression per object; an object's expressions are consecutive."""
    excluded: frozenset[str] = frozenset()
    """Videos that are in the file and not in the set."""


class ExpressionVideos:
    """The videos of a set, read on access."""

    def __init__(self, layout: ExpressionLayout) -> None:
        """Read the file of expressions. Raises RecordError."""
        content = read_json(layout.expressions)
        videos = content.get("videos") if isinstance(content, dict) else None
        if not isinstance(videos, dict):
            problem = "has no videos"
            raise RecordError(layout.expressions, "videos", problem, "give the set's meta_expressions file")
        self._layout = layout
        self._videos: dict[str, Any] = {key: video for key, video in videos.items() if key not in layout.excluded}
        self.ids: tuple[str, ...] = tuple(self._videos)
        """Video ids in the order of the file."""
        self._counted = self._count() if layout.keys == "count" else {}

    @property
    def name(self) -> str:
        """The set's name in results."""
        return self._layout.name

    @property
    def files(self) -> tuple[Path, ...]:
        """Files whose digest identifies the set: expressions and masks, not the frames."""
        return (self._layout.expressions, *(self._layout.masks.files if self._layout.masks else ()))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ExpressionVideo]:
        """Iterate over all videos. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> ExpressionVideo:
        """Read the video `ids[index]` with all its masks.

        Raises:
            RecordError: If it is not as published, or its masks do not match its frames.
        """
        video = self.entry(index)
        rows = range(len(video.frames))
        expressions = tuple(
            ReferringExpression(
                exp_id=entry.exp_id,
                text=entry.text,
                kind=entry.kind,
                object_ids=entry.object_ids,
                truth=self.truth(video, entry.mask_keys, rows),
            )
            for entry in video.expressions
        )
        sizes = {mask.size for expression in expressions for mask in expression.truth or () if mask is not None}
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

    def entry(self, index: int) -> VideoEntry:
        """Return the file's entry of the video `ids[index]`. Raises RecordError if it is not as published."""
        video_id, path = self.ids[index], self._layout.expressions
        where = f"videos.{video_id}"
        folder = path_below(self._layout.frames, video_id, path, where)
        video = checked(_PublishedVideo, self._videos[video_id], path, where)
        if not video.frames:
            raise RecordError(path, f"{where}.frames", "lists no frame", "download the file again")
        positions = sorted(range(len(video.frames)), key=video.frames.__getitem__)
        return VideoEntry(
            video_id=video_id,
            frames=tuple(path_below(folder, f"{video.frames[at]}.jpg", path, f"{where}.frames") for at in positions),
            listed=video.frames,
            positions=tuple(positions),
            expressions=tuple(
                ExpressionEntry(
                    exp_id=exp_id,
                    text=expression.exp,
                    kind=self._kind(number, expression),
                    object_ids=expression.object_ids,
                    mask_keys=self._keys(video_id, exp_id, expression) if self._layout.masks else (),
                )
                for number, (exp_id, expression) in enumerate(video.expressions.items())
            ),
        )

    def truth(self, video: VideoEntry, mask_keys: Sequence[str], rows: Sequence[int]) -> FrameMasks | None:
        """Read the masks of some objects in some frames of a video; no other masks are decoded.

        Args:
            video: The video's entry.
            mask_keys: The keys of an expression's masks.
            rows: Indexes in `video.frames`.

        Returns:
            The union of the objects' masks for each row; None if only a test server has the masks.

        Raises:
            RecordError: If masks are missing, or do not match the video.
        """
        if self._layout.masks is None:
            return None
        return self._layout.masks.of(video.video_id, video.listed, mask_keys, [video.positions[row] for row in rows])

    def _kind(self, number: int, expression: _PublishedExpression) -> str:
        if self._layout.annotators > 1:
            return f"annotator {number % self._layout.annotators + 1}"
        if expression.type_id is None or not self._layout.kinds:
            return ""
        return self._layout.kinds.get(expression.type_id, f"type {expression.type_id}")

    def _keys(self, video_id: str, exp_id: str, expression: _PublishedExpression) -> tuple[str, ...]:
        if self._layout.keys == "count":
            return (self._counted[video_id, exp_id],)
        keys = expression.mask_keys if self._layout.keys == "anno_id" else expression.object_ids
        if not keys and self._layout.keys not in expression.model_fields_set:  # an empty list means: no object
            where, problem = f"videos.{video_id}.expressions.{exp_id}", f"has no {self._layout.keys}, so it has no mask"
            raise RecordError(self._layout.expressions, where, problem, "take a split whose masks are published")
        return keys

    def _count(self) -> dict[tuple[str, str], str]:
        """Number all expressions as the mask table's authors did: sorted by video id, then by expression id (text)."""
        pairs = [
            (video_id, exp_id)
            for video_id, video in sorted(self._videos.items())
            for exp_id in sorted(video.get("expressions", ()) if isinstance(video, dict) else ())
        ]
        return {pair: str(number) for number, pair in enumerate(pairs)}
