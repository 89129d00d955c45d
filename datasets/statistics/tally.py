"""Running totals over the expressions of one split: the columns of Table 4 and the properties of Table 3."""

from collections import Counter
from dataclasses import dataclass, field

from refsav.datasets.records import Expression
from refsav.datasets.statistics.properties import MeasureConfig, object_motion, occlusion, word_count

SHORT_TEXT, LONG_TEXT = "short text", "long text"
OBJECT_MOTION, CAMERA_MOTION, OCCLUSION = "large object motion", "large camera motion", "heavy occlusion"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """The columns of Table 4."""

    videos: int
    objects: int
    expressions: int
    masks: int
    """Non-empty masks of annotated frames."""
    words_mean: float
    """Mean length of an expression in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One property of Table 3: how many of the measured expressions, objects or videos have it."""

    name: str
    of: str
    """What is counted: "expressions", "objects" or "videos"."""
    measured: int
    count: int
    share: float
    """count / measured, fraction 0-1; 0 where nothing was measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitStatistics:
    """Statistics of one split, or of the complete run."""

    figures: Figures
    properties: tuple[Property, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredObject:
    """What one object adds to the totals."""

    words: int
    masks: int
    properties: tuple[str, ...]


def measure_object(expression: Expression, config: MeasureConfig) -> MeasuredObject:
    """Measure one object and its expression."""
    words = word_count(expression.text)
    motion = object_motion(expression.track)
    holds = {
        SHORT_TEXT: words < config.long_text_words,
        LONG_TEXT: words >= config.long_text_words,
        OBJECT_MOTION: motion.span >= config.object_span or motion.speed >= config.object_speed,
        OCCLUSION: occlusion(expression.track).share >= config.occluded_share,
    }
    properties = tuple(name for name, held in holds.items() if held)
    return MeasuredObject(words=words, masks=expression.track.visible_rows, properties=properties)


@dataclass(slots=True)
class Tally:
    """The totals of one split."""

    videos: int = 0
    objects: int = 0
    masks: int = 0
    words: int = 0
    cameras: int = 0
    """Videos whose camera motion is known."""
    having: Counter[str] = field(default_factory=Counter)

    def add_video(self, camera_speed: float | None, config: MeasureConfig) -> None:
        """Count one video; `camera_speed` is None if camera motion could not be measured."""
        self.videos += 1
        if camera_speed is not None:
            self.cameras += 1
            self.having[CAMERA_MOTION] += camera_speed >= config.camera_speed

    def add(self, measured: MeasuredObject) -> None:
        """Count one object and its expression."""
        self.objects += 1
        self.masks += measured.masks
        self.words += measured.words
        self.having.update(measured.properties)

    def finish(self) -> SplitStatistics:
        """Return the statistics."""
        return SplitStatistics(
            figures=Figures(
                videos=self.videos,
                objects=self.objects,
                expressions=self.objects,
                masks=self.masks,
                words_mean=self.words / self.objects if self.objects else 0.0,
            ),
            properties=(
                self._property(SHORT_TEXT, "expressions", self.objects),
                self._property(LONG_TEXT, "expressions", self.objects),
                self._property(OBJECT_MOTION, "objects", self.objects),
                self._property(CAMERA_MOTION, "videos", self.cameras),
                self._property(OCCLUSION, "objects", self.objects),
            ),
        )

    def _property(self, name: str, of: str, measured: int) -> Property:
        count = self.having[name]
        return Property(name=name, of=of, measured=measured, count=count, share=count / measured if measured else 0.0)
