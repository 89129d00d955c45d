"""Published figures to compare with: the Sa2VA paper, arXiv 2501.04001, section 3.3, Tables 3 and 4."""

from collections.abc import Mapping
from dataclasses import dataclass

PAPER = "Sa2VA, arXiv 2501.04001"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFigures:
    """One row of Table 4."""

    dataset: str
    videos: int
    objects: int
    expressions: int
    masks: int
    """As published: rounded to thousands, for Ref-SAV to 0.1 million."""
    words_mean: float


TABLE_4 = (
    PublishedFigures(
        dataset="Ref-YTVOS", videos=3_978, objects=7_451, expressions=15_009, masks=131_000, words_mean=9.68
    ),
    PublishedFigures(dataset="MeViS", videos=2_006, objects=8_171, expressions=28_570, masks=443_000, words_mean=7.07),
    PublishedFigures(dataset="ReVOS", videos=1_042, objects=9_084, expressions=35_074, masks=273_000, words_mean=10.5),
    PublishedFigures(
        dataset="Ref-SAV", videos=37_311, objects=72_509, expressions=72_509, masks=6_000_000, words_mean=83.6
    ),
)

TABLE_3_HAS: Mapping[str, frozenset[str]] = {
    "short text": frozenset({"DAVIS17-RVOS", "ReVOS", "Ref-YT-VOS", "MeViS", "Ref-SAV"}),
    "long text": frozenset({"ReVOS", "Ref-SAV"}),
    "large object motion": frozenset({"Ref-YT-VOS", "Ref-SAV"}),
    "large camera motion": frozenset({"DAVIS17-RVOS", "ReVOS", "Ref-SAV"}),
    "heavy occlusion": frozenset({"Ref-SAV"}),
}
"""The sets that Table 3 ticks for each property; it gives neither numbers nor thresholds."""

VALIDATION_VIDEOS = 1_147
VALIDATION_LONG = 1_694
VALIDATION_SHORT = 251
"""The evaluation benchmark of section 3.3: 1,945 object expressions."""
