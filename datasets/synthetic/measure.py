"""The ground truth of a synthetic scene, measured on its masks, with short expressions that fit exactly one object."""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from refsav.datasets.masks import Mask
from refsav.datasets.synthetic.render import Layers
from refsav.datasets.synthetic.scene import COLOURS, Floats, Scene
from refsav.datasets.synthetic.truth import (
    CLEAR,
    LARGE_ENOUGH,
    Across,
    Direction,
    Down,
    FramePosition,
    Motion,
    ObjectTruth,
    Occlusion,
    SceneTruth,
    ShortExpression,
    direction_of,
    thirds_of,
)

Third = tuple[Across, Down]

REGIONS: Mapping[str, frozenset[Third]] = {
    "at the top left": frozenset({("left", "top")}),
    "at the top right": frozenset({("right", "top")}),
    "at the bottom left": frozenset({("left", "bottom")}),
    "at the bottom right": frozenset({("right", "bottom")}),
    "in the centre": frozenset({("centre", "middle")}),
    "on the left": frozenset({("left", "top"), ("left", "middle"), ("left", "bottom")}),
    "on the right": frozenset({("right", "top"), ("right", "middle"), ("right", "bottom")}),
    "at the top": frozenset({("left", "top"), ("centre", "top"), ("right", "top")}),
    "at the bottom": frozenset({("left", "bottom"), ("centre", "bottom"), ("right", "bottom")}),
}
"""Phrases for positions and the thirds of the frame that they cover, the narrowest first."""

MOTION_WORDS: Mapping[Direction, str] = {
    "still": "that stays still",
    "right": "moving right",
    "down-right": "moving down and to the right",
    "down": "moving down",
    "down-left": "moving down and to the left",
    "left": "moving left",
    "up-left": "moving up and to the left",
    "up": "moving up",
    "up-right": "moving up and to the right",
}


def measure(scene: Scene, rows: Sequence[Layers]) -> SceneTruth:
    """Measure the ground truth of a scene.

    Args:
        scene: The scene.
        rows: The masks of each annotated frame, in order.
    """
    camera = scene.camera.at(scene.row_shares())
    ids = masklet_ids(scene)
    objects = [_measure_object(scene, rows, camera, number, ids[number]) for number in range(len(scene.objects))]
    unnamed = SceneTruth(
        video_id=scene.video_id,
        seed=scene.seed,
        height=scene.size[0],
        width=scene.size[1],
        frame_count=scene.frame_count,
        ground=scene.ground,
        camera=scene.camera.kind,
        camera_px=_points(camera),
        camera_motion=_motion(camera, 0, scene.row_count - 1, scene.diagonal_px),
        objects=objects,
    )
    named = [thing.model_copy(update={"expressions": list(_expressions(thing, unnamed))}) for thing in objects]
    return unnamed.model_copy(update={"objects": named})


def masklet_ids(scene: Scene) -> list[int]:
    """Return each object's id in its annotation file, which equals its column; both files count from 0."""
    return [
        sum(other.source == thing.source for other in scene.objects[:number])
        for number, thing in enumerate(scene.objects)
    ]


def _measure_object(scene: Scene, rows: Sequence[Layers], camera: Floats, number: int, masklet_id: int) -> ObjectTruth:
    thing = scene.objects[number]
    world = thing.trajectory.at(scene.row_shares())
    centres = world - camera
    areas = [int(np.count_nonzero(layers.visible[number])) for layers in rows]
    framed = [layers.framed_px[number] for layers in rows]
    fractions = [area / max(1, layers.whole_px[number]) for area, layers in zip(areas, rows, strict=True)]
    covered = [1 - area / inside if inside else 0.0 for area, inside in zip(areas, framed, strict=True)]
    largest = max(range(len(areas)), key=areas.__getitem__)
    clear = [row for row, fraction in enumerate(fractions) if fraction >= CLEAR] or [largest]
    across, down, margin = thirds_of(tuple(centres[largest]), *scene.size)
    return ObjectTruth(
        source=thing.source,
        masklet_id=masklet_id,
        colour=thing.colour,
        rgb=COLOURS[thing.colour],
        shape=thing.shape,
        size=thing.size,
        depth=thing.depth,
        centres_px=_points(centres),
        seen_centres_px=[_centroid(layers.visible[number]) for layers in rows],
        areas_px=areas,
        visible_fraction=[round(fraction, 4) for fraction in fractions],
        covered_fraction=[round(fraction, 4) for fraction in covered],
        place=FramePosition(row=largest, across=across, down=down, margin=round(margin, 4)),
        motion=_motion(centres, clear[0], clear[-1], scene.diagonal_px),
        world_motion=_motion(world, clear[0], clear[-1], scene.diagonal_px),
        occlusion=Occlusion(
            hidden_share=round(areas.count(0) / len(areas), 4),
            max_covered=round(max(covered), 4),
            comes_late=areas[0] == 0,
            leaves=areas[-1] == 0,
        ),
        visible_enough=(
            areas[largest] >= LARGE_ENOUGH * scene.size[0] * scene.size[1]
            and fractions[largest] >= CLEAR
            and len(clear) >= max(2, 0.25 * len(rows))
        ),
        expressions=[],
    )


def _motion(points: Floats, first: int, last: int, diagonal_px: float) -> Motion:
    x, y = (float(value) for value in points[last] - points[first])
    return Motion(
        first_row=first,
        last_row=last,
        displacement_px=(round(x, 2), round(y, 2)),
        distance=round(float(np.hypot(x, y)) / diagonal_px, 4),
        direction=direction_of((x, y), diagonal_px),
    )


def _points(points: Floats) -> list[tuple[float, float]]:
    return [(round(float(x), 2), round(float(y), 2)) for x, y in points]


def _centroid(mask: Mask) -> tuple[float, float]:
    sums = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = sums["m00"]
    return (round(sums["m10"] / area, 2), round(sums["m01"] / area, 2)) if area else (-1.0, -1.0)


def _expressions(thing: ObjectTruth, scene: SceneTruth) -> Iterator[ShortExpression]:
    others = [other for other in scene.objects if other is not thing]
    same_colour = [other for other in others if other.colour == thing.colour]
    if not same_colour:
        yield ShortExpression(kind="colour", text=f"the {thing.colour} object")
    if all(other.shape != thing.shape for other in others):
        yield ShortExpression(kind="shape", text=f"the {thing.shape}")
    yield ShortExpression(kind="colour and shape", text=f"the {thing.colour} {thing.shape}")
    if all(other.size != thing.size for other in others):
        yield ShortExpression(kind="size", text=f"the {thing.size} object")
    elif same_colour and all(other.size != thing.size for other in same_colour):
        yield ShortExpression(kind="size", text=f"the {thing.size} {thing.colour} object")
    thirds, other_thirds = _thirds(thing, scene), [_thirds(other, scene) for other in others]
    fitting = [
        phrase
        for phrase, region in REGIONS.items()
        if thirds <= region and not any(map(region.intersection, other_thirds))
    ]
    if fitting:
        yield ShortExpression(kind="place", text=f"the object {fitting[0]}")
    steady = scene.camera_motion.direction == "still"
    if steady and thing.visible_enough and all(other.visible_enough for other in others):
        direction = thing.motion.direction
        if all(other.motion.direction != direction for other in others):
            yield ShortExpression(kind="motion", text=f"the object {MOTION_WORDS[direction]}")
        elif same_colour and all(other.motion.direction != direction for other in same_colour):
            yield ShortExpression(kind="motion", text=f"the {thing.colour} object {MOTION_WORDS[direction]}")


def _thirds(thing: ObjectTruth, scene: SceneTruth) -> set[Third]:
    """Return the thirds of the frame that contain the object's centre in at least one row."""
    centres = [centre for centre, area in zip(thing.seen_centres_px, thing.areas_px, strict=True) if area]
    return {thirds_of(centre, scene.height, scene.width)[:2] for centre in centres}
