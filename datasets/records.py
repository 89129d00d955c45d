"""The records of the pipeline: frozen, complete, one type per stage that an object goes through.

ObjectTrack → ObjectCaptions → Verdict → SceneCaption → VideoCaption → Expression, or Dropped, or Failed.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

Source = Literal["manual", "auto"]
"""The SA-V annotation file that a masklet comes from."""

Stage = Literal["object", "judge", "scene", "video"]
"""The stages of Sa2VA, section 3.3, in order."""

STAGES: tuple[Stage, ...] = ("object", "judge", "scene", "video")


class Rle(NamedTuple):
    """A mask as COCO compressed run-length encoding."""

    size: tuple[int, int]
    """(height, width), in pixels."""
    counts: str
    """The encoded runs, as pycocotools writes them."""


class ObjectKey(NamedTuple):
    """Identifies one object in a dataset; it holds the source because SA-V's manual and auto ids both start at 0."""

    video_id: str
    source: Source
    masklet_id: int

    def __str__(self) -> str:
        return f"{self.video_id}/{self.source}/{self.masklet_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFile:
    """One video of a source on disk and its annotations; no file has been read yet."""

    video_id: str
    """SA-V name, for example "sav_000001"."""
    media: Path
    """The mp4 file, or the folder of JPEG frames in SA-V's val and test layout."""
    annotations: tuple[Path, ...]
    """The chosen `_manual.json` and `_auto.json` files, or the folder of PNG masks."""
    folder: str
    """Folder of the video relative to the source, "" at the top; official exports keep it."""

    @property
    def root(self) -> Path:
        """The source's own folder; paths in records are relative to it."""
        return self.media.parents[len(PurePosixPath(self.folder).parts)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectTrack:
    """One SA-V masklet: the masks of one object in every annotated frame."""

    video_id: str
    source: Source
    masklet_id: int
    """SA-V's id; manual and auto ids both start at 0."""
    column: int
    """Index in masklet[row], which Ref-SAV.json refers to; it may differ from the id."""
    size: tuple[int, int]
    """(height, width) of every mask, in pixels."""
    masks: tuple[Rle | None, ...]
    """One mask per annotated frame; None where the object is hidden. Row t is video frame `t * frame_step`."""
    areas_px: tuple[int, ...]
    """Mask area in pixels per annotated frame, 0 where hidden."""
    frame_step: int = 4
    """Video frames from one annotated frame to the next (SA-V: 24 fps video, 6 fps annotations)."""
    rate_hz: float = 6.0
    """Annotated frames per second."""

    @property
    def key(self) -> ObjectKey:
        """The object's key in the dataset."""
        return ObjectKey(self.video_id, self.source, self.masklet_id)

    @property
    def largest_row(self) -> int:
        """The annotated frame in which the object covers the most pixels (the first if several are equal)."""
        return max(range(len(self.areas_px)), key=self.areas_px.__getitem__)

    @property
    def visible_rows(self) -> int:
        """Number of annotated frames in which the object can be seen."""
        return sum(area > 0 for area in self.areas_px)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectCaptions:
    """Object stage: two descriptions of one object, each from a different view (Sa2VA, section 3.3)."""

    crop: str
    """From the crop around the object, with its background."""
    masked: str
    """From the full frame in which everything but the object is masked out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Judge stage: whether the two descriptions are of the same object."""

    consistent: bool
    confidence: float
    """Probability of the chosen answer among the allowed ones, fraction 0-1."""
    reason: str
    """One short sentence about the conflict; empty when consistent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneCaption:
    """Scene stage: the object and its relations to the scene."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoCaption:
    """Video stage: the object, its scene, and what it does in the video."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """The models and prompts that wrote an object's texts; the same for a complete run, kept in every record."""

    vlm: str
    """Engine and model of the object, scene and video stages, for example "vllm:OpenGVLab/InternVL2-Llama3-76B"."""
    judge: str
    """Engine and model of the judge."""
    prompts: str
    """Digest of all prompt files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """An object that passed all stages, with its long expression."""

    track: ObjectTrack
    captions: ObjectCaptions
    verdict: Verdict
    scene: SceneCaption
    video: VideoCaption
    provenance: Provenance

    @property
    def text(self) -> str:
        """The long expression: the video stage's text, which builds on the earlier stages."""
        return self.video.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """An object that a filter or the judge dropped, and why."""

    track: ObjectTrack
    stage: Literal["filter", "judge"]
    reason: str
    crop_caption: str = ""
    """The object stage's captions when the judge dropped it; empty for filtered objects."""
    masked_caption: str = ""
    confidence: float = 1.0
    """The judge's confidence, fraction 0-1; 1 for a filter, which is deterministic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An object that could not be described: its key and what went wrong."""

    key: ObjectKey
    column: int
    stage: Literal["source", "views", "object", "judge", "scene", "video"]
    error: str
    """One line: file or server, place, problem, fix."""
    request_digest: str
    """Digest of the request that failed; empty when no request was made."""
    round: int = 0
    """How often `refsav retry` has tried it; each round adds attempts with new seeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A video or annotation file whose objects could not be listed."""

    path: str
    """Relative to the source."""
    error: str
    """One line: place, problem, fix."""
