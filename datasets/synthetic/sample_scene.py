"""Drawing a scene from a seed: what is in it, where everything goes, and who crosses whom."""

from typing import Literal

import numpy as np

from refsav.datasets.synthetic.scene import (
    COLOURS,
    EXTENTS,
    FINISHES,
    GROUNDS,
    RATE_HZ,
    SHAPES,
    Camera,
    CameraKind,
    Course,
    Floats,
    Scene,
    SceneObject,
    SynthConfig,
)

Manner = Literal["rests", "moves", "comes", "leaves", "crosses"]

CANDIDATES = 60
"""Courses tried for each object; the one that fits best is taken."""

STILL, MOVING = 0.03, 0.11
"""A course goes less than the first or more than the second share of the frame's diagonal: never in between."""

TILT_DEG = 13.0
"""Courses lie within this angle of one of the eight compass directions, whose sectors end at 22.5."""


def draw_scene(config: SynthConfig, index: int, draw: int) -> Scene:
    """Draw video `index`; another `draw` is another scene. No two of its objects share both colour and shape."""
    seed = (config.seed, index, draw)
    random = np.random.default_rng(seed)
    scene = Scene(
        video_id=f"synth_{index:06d}",
        seed=seed,
        size=(config.height, config.width),
        frame_count=config.frames,
        ground=GROUNDS[random.integers(len(GROUNDS))],
        camera=_draw_camera(random, config),
        objects=(),
    )
    count = int(random.integers(config.min_objects, config.max_objects + 1))
    depths = random.permutation(count)
    for depth in depths:
        scene = scene.with_objects(_draw_object(random, config, scene, int(depth)))
    return scene


def _draw_camera(random: np.random.Generator, config: SynthConfig) -> Camera:
    kinds: tuple[CameraKind, ...] = ("pan", "shake", "pan and shake")
    kind: CameraKind = kinds[random.integers(3)] if random.random() < config.camera_share else "static"
    diagonal = float(np.hypot(config.height, config.width))
    pan = _step(random, random.uniform(0.15, 0.26) * diagonal, sideways=0.8) if "pan" in kind else np.zeros(2)
    return Camera(
        kind=kind,
        pan_px=(float(pan[0]), float(pan[1])),
        shake_px=float(random.uniform(0.003, 0.006) * diagonal) if "shake" in kind else 0.0,
        phases=tuple(random.uniform(0, 2 * np.pi, 6)) if "shake" in kind else (),
        duration_s=config.frames / RATE_HZ,
    )


def _draw_object(random: np.random.Generator, config: SynthConfig, scene: Scene, depth: int) -> SceneObject:
    colour, shape = _draw_looks(random, config, scene)
    size = tuple(EXTENTS)[random.choice(3, p=(0.3, 0.45, 0.25))]
    extent = float(random.uniform(*EXTENTS[size]) * min(scene.size))
    manner = _draw_manner(random, config, bool(scene.objects))
    offers = [_offer_course(random, scene, extent, manner) for _ in range(CANDIDATES)]
    best = min(offers, key=lambda course: _misfit(course, scene, extent, manner))
    turn = 0.0 if manner == "rests" else float(random.uniform(-25, 25))
    angle = float(random.uniform(-12, 12))
    growth = float(random.uniform(-0.09, 0.09))
    listed_in_auto = bool(scene.objects) and random.random() < config.auto_share
    return SceneObject(
        colour=colour,
        shape=shape,
        size=size,
        finish=FINISHES[random.integers(len(FINISHES))],
        extent_px=extent,
        course=Course(
            start_px=best.start_px,
            end_px=best.end_px,
            bow_px=best.bow_px,
            ease=best.ease,
            scale=(1 - growth, 1 + growth),
            angle_deg=(angle - turn / 2, angle + turn / 2),
        ),
        depth=depth,
        source="auto" if listed_in_auto else "manual",
    )


def _draw_looks(random: np.random.Generator, config: SynthConfig, scene: Scene) -> tuple[str, str]:
    """Colour and shape: new ones, or for a distractor one of them taken from an object that is there."""
    taken = {(thing.colour, thing.shape) for thing in scene.objects}
    colours, shapes = list(COLOURS), list(SHAPES)
    if scene.objects and random.random() < config.distractor_share:
        model = scene.objects[random.integers(len(scene.objects))]
        if random.random() < 0.5:
            colours = [model.colour]
        else:
            shapes = [model.shape]
    else:
        colours = [colour for colour in colours if colour not in {thing.colour for thing in scene.objects}]
        shapes = [shape for shape in shapes if shape not in {thing.shape for thing in scene.objects}]
    free = [(colour, shape) for colour in colours for shape in shapes if (colour, shape) not in taken]
    return free[random.integers(len(free))]


def _draw_manner(random: np.random.Generator, config: SynthConfig, has_company: bool) -> Manner:
    if has_company and random.random() < config.occlusion_share:
        return "crosses"
    chance = random.random()
    if chance < config.late_share:
        return "comes"
    if chance < config.late_share + config.leaving_share:
        return "leaves"
    return "moves" if random.random() < config.moving_share else "rests"


def _step(random: np.random.Generator, length_px: float, sideways: float = 0.5) -> Floats:
    """A way of the given length near one of the eight compass directions; `sideways` of them left or right."""
    eighth = random.choice((0, 4)) if random.random() < sideways else random.integers(8)
    angle = np.radians(45 * eighth + random.uniform(-TILT_DEG, TILT_DEG) * 0.8)
    return np.array([length_px * np.cos(angle), length_px * np.sin(angle)])


def _offer_course(random: np.random.Generator, scene: Scene, extent_px: float, manner: Manner) -> Course:
    """A course of the wished manner that may or may not fit; start and end are chosen on the screen."""
    frame = np.array(scene.size[::-1], dtype=float)
    inner = np.minimum(0.7 * extent_px, frame * 0.4)
    place = random.uniform(inner, frame - inner)
    drift = scene.camera.at(np.array([1.0]))[0]
    if manner == "rests":
        at = place + scene.camera.at(random.uniform(0, 1, 1))[0]
        return Course(start_px=(at[0], at[1]), end_px=(at[0], at[1]), bow_px=0.0, ease=0.0)
    step = _step(random, random.uniform(0.14, 0.5) * scene.diagonal_px, sideways=0.35)
    if manner == "crosses":
        met = scene.objects[random.integers(len(scene.objects))].course
        when = random.uniform(0.35, 0.65, 1)
        start = (met.at(when) - scene.camera.at(when))[0] - when[0] * step
        end = start + step
    elif manner == "comes":
        start, end = place - step * random.uniform(1, 1.8), place
    elif manner == "leaves":
        start, end = place, place + step * random.uniform(1, 1.8)
    else:
        start, end = place, place + step
    end = end + drift
    bow = float(random.uniform(-0.06, 0.06) * np.hypot(*(end - start)))
    return Course(start_px=(start[0], start[1]), end_px=(end[0], end[1]), bow_px=bow, ease=random.uniform(0, 0.8))


def _misfit(course: Course, scene: Scene, extent_px: float, manner: Manner) -> float:
    """0 for a course that does what it should; whole points for what would leave its truth ill-defined."""
    shares = scene.row_shares()
    camera = scene.camera.at(shares)
    way = course.at(shares) - camera
    frame = np.array(scene.size[::-1], dtype=float)
    radius = 0.62 * extent_px
    inside = np.all((way >= 0.8 * radius) & (way <= frame - 0.8 * radius), axis=1)
    outside = np.any((way < -radius) | (way > frame + radius), axis=1)
    rows = np.flatnonzero(inside)
    if len(rows) < max(2, 0.35 * len(shares)):
        return 100.0
    misfit = _indecision(way[rows[-1]] - way[rows[0]], scene.diagonal_px)
    if manner == "comes":
        misfit += 3.0 * float(not outside[0]) + 3.0 * float(not inside[-1])
    elif manner == "leaves":
        misfit += 3.0 * float(not outside[-1]) + 3.0 * float(not inside[0])
    elif manner != "rests":
        misfit += 4.0 * float(1 - inside.mean())
    nearest = np.full(len(shares), np.inf)
    for other in scene.objects:
        apart = way - (other.course.at(shares) - camera)
        nearest = np.minimum(nearest, np.hypot(apart[:, 0], apart[:, 1]) / (radius + 0.62 * other.extent_px))
    misfit += 4.0 * float(nearest[0] < 1) + 4.0 * float(nearest[-1] < 1) + 3.0 * float(np.mean(nearest < 1))
    if manner == "crosses":
        misfit += 3.0 * float(nearest.min() > 0.4)
    return misfit


def _indecision(displacement: Floats, diagonal_px: float) -> float:
    length = float(np.hypot(*displacement)) / diagonal_px
    if length < STILL:
        return 0.0
    if length < MOVING:
        return 20.0
    angle = float(np.degrees(np.arctan2(displacement[1], displacement[0])))
    return 20.0 * float(abs((angle + 22.5) % 45 - 22.5) > TILT_DEG)
