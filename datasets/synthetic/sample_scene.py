"""Samples a scene from a seed: its objects, their trajectories, and which of them cross each other."""

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
    Floats,
    Scene,
    SceneObject,
    SynthConfig,
    Trajectory,
)

MotionKind = Literal["rests", "moves", "comes", "leaves", "crosses"]

CANDIDATES = 60
"""Trajectories sampled for each object; the best one is taken."""

STILL, MOVING = 0.03, 0.11
"""The length of a trajectory is below the first or above the second fraction of the frame's diagonal."""

TILT_DEG = 13.0
"""Trajectories stay within this angle of one of the eight compass directions, whose sectors end at 22.5 degrees."""


def sample_scene(config: SynthConfig, index: int, draw: int) -> Scene:
    """Sample the scene of a video; no two of its objects share both colour and shape.

    Args:
        config: The settings of all scenes.
        index: The video's number.
        draw: The attempt: a different `draw` gives a different scene.
    """
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
    motion = _draw_motion(random, config, bool(scene.objects))
    candidates = [_sample_trajectory(random, scene, extent, motion) for _ in range(CANDIDATES)]
    best = min(candidates, key=lambda trajectory: _misfit(trajectory, scene, extent, motion))
    turn = 0.0 if motion == "rests" else float(random.uniform(-25, 25))
    angle = float(random.uniform(-12, 12))
    growth = float(random.uniform(-0.09, 0.09))
    listed_in_auto = bool(scene.objects) and random.random() < config.auto_share
    return SceneObject(
        colour=colour,
        shape=shape,
        size=size,
        finish=FINISHES[random.integers(len(FINISHES))],
        extent_px=extent,
        trajectory=Trajectory(
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
    """Sample colour and shape: both new, or for a distractor one of them from an existing object."""
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


def _draw_motion(random: np.random.Generator, config: SynthConfig, has_others: bool) -> MotionKind:
    if has_others and random.random() < config.occlusion_share:
        return "crosses"
    chance = random.random()
    if chance < config.late_share:
        return "comes"
    if chance < config.late_share + config.leaving_share:
        return "leaves"
    return "moves" if random.random() < config.moving_share else "rests"


def _step(random: np.random.Generator, length_px: float, sideways: float = 0.5) -> Floats:
    """Sample a displacement near one of the eight compass directions; a share of `sideways` is left or right."""
    eighth = random.choice((0, 4)) if random.random() < sideways else random.integers(8)
    angle = np.radians(45 * eighth + random.uniform(-TILT_DEG, TILT_DEG) * 0.8)
    return np.array([length_px * np.cos(angle), length_px * np.sin(angle)])


def _sample_trajectory(random: np.random.Generator, scene: Scene, extent_px: float, motion: MotionKind) -> Trajectory:
    """Sample a trajectory with the given motion, which may not fit yet; start and end are chosen on the screen."""
    frame = np.array(scene.size[::-1], dtype=float)
    inner = np.minimum(0.7 * extent_px, frame * 0.4)
    position = random.uniform(inner, frame - inner)
    drift = scene.camera.at(np.array([1.0]))[0]
    if motion == "rests":
        at = position + scene.camera.at(random.uniform(0, 1, 1))[0]
        return Trajectory(start_px=(at[0], at[1]), end_px=(at[0], at[1]), bow_px=0.0, ease=0.0)
    step = _step(random, random.uniform(0.14, 0.5) * scene.diagonal_px, sideways=0.35)
    if motion == "crosses":
        met = scene.objects[random.integers(len(scene.objects))].trajectory
        when = random.uniform(0.35, 0.65, 1)
        start = (met.at(when) - scene.camera.at(when))[0] - when[0] * step
        end = start + step
    elif motion == "comes":
        start, end = position - step * random.uniform(1, 1.8), position
    elif motion == "leaves":
        start, end = position, position + step * random.uniform(1, 1.8)
    else:
        start, end = position, position + step
    end = end + drift
    bow = float(random.uniform(-0.06, 0.06) * np.hypot(*(end - start)))
    return Trajectory(start_px=(start[0], start[1]), end_px=(end[0], end[1]), bow_px=bow, ease=random.uniform(0, 0.8))


def _misfit(trajectory: Trajectory, scene: Scene, extent_px: float, motion: MotionKind) -> float:
    """Return how badly a trajectory fits: 0 if it moves as intended, with penalties for ill-defined ground truth."""
    shares = scene.row_shares()
    camera = scene.camera.at(shares)
    path = trajectory.at(shares) - camera
    frame = np.array(scene.size[::-1], dtype=float)
    radius = 0.62 * extent_px
    inside = np.all((path >= 0.8 * radius) & (path <= frame - 0.8 * radius), axis=1)
    outside = np.any((path < -radius) | (path > frame + radius), axis=1)
    rows = np.flatnonzero(inside)
    if len(rows) < max(2, 0.35 * len(shares)):
        return 100.0
    misfit = _ambiguous_motion(path[rows[-1]] - path[rows[0]], scene.diagonal_px)
    if motion == "comes":
        misfit += 3.0 * float(not outside[0]) + 3.0 * float(not inside[-1])
    elif motion == "leaves":
        misfit += 3.0 * float(not outside[-1]) + 3.0 * float(not inside[0])
    elif motion != "rests":
        misfit += 4.0 * float(1 - inside.mean())
    nearest = np.full(len(shares), np.inf)
    for other in scene.objects:
        distance = path - (other.trajectory.at(shares) - camera)
        nearest = np.minimum(nearest, np.hypot(distance[:, 0], distance[:, 1]) / (radius + 0.62 * other.extent_px))
    misfit += 4.0 * float(nearest[0] < 1) + 4.0 * float(nearest[-1] < 1) + 3.0 * float(np.mean(nearest < 1))
    if motion == "crosses":
        misfit += 3.0 * float(nearest.min() > 0.4)
    return misfit


def _ambiguous_motion(displacement: Floats, diagonal_px: float) -> float:
    """Return a penalty for a displacement that is neither still nor clearly in one of eight directions; else 0."""
    length = float(np.hypot(*displacement)) / diagonal_px
    if length < STILL:
        return 0.0
    if length < MOVING:
        return 20.0
    angle = float(np.degrees(np.arctan2(displacement[1], displacement[0])))
    return 20.0 * float(abs((angle + 22.5) % 45 - 22.5) > TILT_DEG)
