"""Naming shapes: a silhouette, made as wide as it is high, is laid over six simple figures in all of their turns."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.masks import Mask

SHAPES = ("round", "oval", "square", "rectangular", "triangular", "star-shaped", "ring-shaped", "cross-shaped")

NEAR_SHAPES = frozenset(
    frozenset(pair)
    for pair in (
        ("round", "oval"),
        ("oval", "rectangular"),
        ("square", "rectangular"),
        ("round", "square"),
        ("round", "ring-shaped"),
    )
)
"""Words that two honest people may use for one shape."""

GRID_PX = 44
"""Side of the grid on which figures are compared."""

SPREAD_PX = 8.0
"""Standard deviation of every figure along both axes on that grid."""

FIRM_OVERLAP = 0.86
"""Intersection over union with a figure from which its name is used, fraction 0-1."""

FIRM_LEAD = 0.025
"""How much better than the next figure it must fit."""

LONG = 1.3
"""Length over width from which a disc is oval and a square is rectangular."""


class ShapeFit(NamedTuple):
    """The figure that a silhouette resembles most."""

    name: str
    overlap: float
    """Intersection over union, fraction 0-1."""
    lead: float
    """By how much the next figure overlaps less."""
    length_over_width: float
    """Along and across the silhouette's longer axis; at least 1."""

    @property
    def is_firm(self) -> bool:
        """Whether the name can be said without a doubt."""
        return self.overlap >= FIRM_OVERLAP and self.lead >= FIRM_LEAD


def fit_shape(region: Mask) -> ShapeFit | None:
    """Compare a silhouette, bool [H, W], with all figures; None for one too thin or too small to have a shape."""
    levelled, elongation = _levelled(region)
    if levelled is None:
        return None
    names, figures = _figures()
    common = figures @ levelled
    overlap = common / ((figures * figures).sum(axis=1) + float(levelled @ levelled) - common)
    best = {name: float(overlap[names == name].max()) for name in np.unique(names)}
    ranked = sorted(best, key=lambda name: -best[name])
    name = ranked[0]
    if elongation >= LONG:
        name = {"round": "oval", "square": "rectangular"}.get(name, name)
    return ShapeFit(name, best[ranked[0]], best[ranked[0]] - best[ranked[1]], elongation)


def _levelled(region: Mask) -> tuple[npt.NDArray[np.float32] | None, float]:
    """Stretch a silhouette until it spreads equally along both axes: float32 [GRID_PX^2], and how long it was."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if len(rows) < 6 or len(columns) < 6:
        return None, 1.0
    part = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    moments = cv2.moments(part)
    mean = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    covariance = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    variances, axes = np.linalg.eigh(covariance)
    if variances[0] < 1:
        return None, 1.0
    unfold = axes @ np.diag(np.sqrt(variances) / SPREAD_PX) @ axes.T
    offset = mean - unfold @ np.full(2, (GRID_PX - 1) / 2)
    matrix = np.column_stack([unfold, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    levelled = cv2.warpAffine(part, matrix, (GRID_PX, GRID_PX), flags=flags)
    return np.asarray(levelled.ravel(), dtype=np.float32), float(np.sqrt(variances[1] / variances[0]))


@lru_cache(maxsize=1)
def _figures() -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    """Names [F] and pictures [F, GRID_PX^2] of every figure in every turn."""
    names: list[str] = []
    pictures: list[npt.NDArray[np.float32]] = []
    for name, contours, period_deg in _contours():
        turns = max(1, round(period_deg / 6)) if period_deg else 1
        for turn in range(turns):
            angle = np.radians(period_deg * turn / turns)
            spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            names.append(name)
            pictures.append(_drawn([contour @ spin.T for contour in contours]))
    return np.array(names), np.stack(pictures)


def _contours() -> list[tuple[str, list[npt.NDArray[np.float64]], float]]:
    """Each figure: name, outer contour and perhaps a hole (each [N, 2]), and the turn after which it repeats."""
    around = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    disc = np.column_stack([np.cos(around), np.sin(around)])
    square = np.array([(-1.0, -1.0), (1, -1), (1, 1), (-1, 1)])
    thirds = np.radians([90, 210, 330])
    figures = [("round", [disc], 0.0), ("square", [square], 90.0)]
    figures.append(("triangular", [np.column_stack([np.cos(thirds), np.sin(thirds)])], 120.0))
    figures += [("ring-shaped", [disc, disc * hole], 0.0) for hole in (0.4, 0.56, 0.75)]
    tips = np.arange(10) * np.pi / 5
    for waist in (0.38, 0.48):
        radii = np.where(np.arange(10) % 2 == 0, 1.0, waist)
        figures.append(("star-shaped", [np.column_stack([np.cos(tips), np.sin(tips)]) * radii[:, None]], 72.0))
    for arm in (0.25, 0.36):
        corners = [(-arm, -1.0), (arm, -1.0), (arm, -arm), (1.0, -arm), (1.0, arm), (arm, arm)]
        figures.append(("cross-shaped", [np.array(corners + [(-x, -y) for x, y in corners])], 90.0))
    return figures


def _drawn(contours: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
    """Draw a figure with the spread that every silhouette is brought to, float32 [GRID_PX^2]."""
    fine = 8
    canvas = np.zeros((256, 256), dtype=np.uint8)
    cv2.fillPoly(canvas, [np.round(contour * 80 + 128).astype(np.int32) for contour in contours], 1)
    spread = np.sqrt(np.count_nonzero(canvas) and cv2.moments(canvas)["mu20"] / cv2.moments(canvas)["m00"]) / 80
    scale, middle = SPREAD_PX / spread * fine, (GRID_PX * fine - 1) / 2
    big = np.zeros((GRID_PX * fine, GRID_PX * fine), dtype=np.float32)
    cv2.fillPoly(big, [np.round(contour * scale + middle).astype(np.int32) for contour in contours], 1.0)
    small = cv2.resize(big, (GRID_PX, GRID_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small.ravel(), dtype=np.float32)
