"""Renders the frames and masks of a synthetic scene: lit objects with smooth edges and shadows on a textured ground."""

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.synthetic.backgrounds import paint_ground
from refsav.datasets.synthetic.scene import COLOURS, Finish, Pose, Scene, SceneObject

Plane = npt.NDArray[np.float32]
"""float32 [H, W]."""

SUPERSAMPLING = 4
"""Shapes are drawn at this multiple of their size and averaged down, which makes their edges smooth."""

SHADOW = 0.42
"""Maximum opacity of an object's shadow, fraction 0-1."""


class Sprite(NamedTuple):
    """One object at scale 1, without rotation, in a square with room for its shadow."""

    paint: npt.NDArray[np.uint8]
    """uint8 [S, S, 4]: premultiplied RGB that is added to the image, and the opacity with which it covers the image
    below, 255 for opaque. A shadow has opacity and no colour.
    """
    cover: npt.NDArray[np.uint8]
    """uint8 [S, S]: the fraction of each pixel that the object covers, 255 for all."""


class Layers(NamedTuple):
    """Areas and masks of all objects in one frame."""

    whole_px: tuple[int, ...]
    """Area of each object without occlusion and without the frame's border, in pixels."""
    framed_px: tuple[int, ...]
    """Area of its part inside the frame, without occlusion, in pixels."""
    visible: tuple[Mask, ...]
    """Visible part of each object, bool [H, W]; the masks do not overlap."""


class SceneRenderer:
    """Renders a scene's frames and masks; sprites and ground are painted once, on first use."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @cached_property
    def sprites(self) -> tuple[Sprite, ...]:
        """One sprite per object of the scene."""
        return tuple(
            _paint_sprite(np.random.default_rng((*self.scene.seed, 1, number)), thing)
            for number, thing in enumerate(self.scene.objects)
        )

    @cached_property
    def _ground(self) -> tuple[Image, npt.NDArray[np.float64]]:
        """The ground that the camera passes over, and the world position of its corner (x, y)."""
        scene = self.scene
        path = scene.camera.at(np.linspace(0, 1, scene.frame_count))
        corner = np.floor(path.min(axis=0)) - 2
        span = np.ceil(path.max(axis=0)) + 2 - corner
        size = (scene.size[0] + int(span[1]), scene.size[1] + int(span[0]))
        random = np.random.default_rng((*scene.seed, 2))
        return paint_ground(random, scene.ground, size, min(scene.size) / 7), corner

    def render(self, frame: int) -> Image:
        """Render the frame with this index, uint8 RGB [H, W, 3]."""
        ground, corner = self._ground
        height, width = self.scene.size
        at = self.scene.camera.at(np.array([self.scene.share(frame)]))[0] - corner
        if np.array_equal(at, np.round(at)):
            left, top = (int(coordinate) for coordinate in at)
            image = ground[top : top + height, left : left + width].copy()
        else:
            middle = (float(at[0]) + (width - 1) / 2, float(at[1]) + (height - 1) / 2)
            image = np.asarray(cv2.getRectSubPix(ground, (width, height), middle), dtype=np.uint8)
        for number in self._far_to_near():
            sprite, pose = self.sprites[number], self.scene.pose(number, frame)
            patch, in_frame, in_patch = _placed(sprite.paint, pose, self.scene.size)
            if in_patch is not None:
                colour = cv2.cvtColor(patch[in_patch], cv2.COLOR_RGBA2RGB)
                transparency = cv2.cvtColor(255 - patch[in_patch][..., 3], cv2.COLOR_GRAY2RGB)
                image[in_frame] = cv2.add(cv2.multiply(image[in_frame], transparency, scale=1 / 255), colour)
        return image

    def layers(self, frame: int) -> Layers:
        """Return the masks of a frame; a pixel belongs to the nearest object that covers at least half of it."""
        objects = self.scene.objects
        free = np.ones(self.scene.size, dtype=np.bool_)
        whole, framed = [0] * len(objects), [0] * len(objects)
        visible = [np.zeros(self.scene.size, dtype=np.bool_) for _ in objects]
        for number in reversed(self._far_to_near()):
            pose = self.scene.pose(number, frame)
            cover, in_frame, in_patch = _placed(self.sprites[number].cover, pose, self.scene.size)
            solid = cover > 127
            whole[number] = int(np.count_nonzero(solid))
            if in_patch is not None:
                inside = solid[in_patch]
                framed[number] = int(np.count_nonzero(inside))
                visible[number][in_frame] = inside & free[in_frame]
                free[in_frame] &= ~inside
        return Layers(tuple(whole), tuple(framed), tuple(visible))

    def _far_to_near(self) -> list[int]:
        return sorted(range(len(self.scene.objects)), key=lambda number: -self.scene.objects[number].depth)


Window = tuple[slice, slice]


def _placed(
    sprite: npt.NDArray[np.uint8], pose: Pose, size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], Window, Window | None]:
    """Rotate, scale and shift a sprite to its pose.

    Args:
        sprite: uint8 [S, S] or [S, S, C].
        pose: Its pose in the frame.
        size: (height, width) of the frame, in pixels.

    Returns:
        The transformed patch; the window of the frame that it overlaps; the same window in the patch, or None if the
        patch is outside the frame.
    """
    side = int(np.ceil(sprite.shape[0] * pose.scale * 1.05)) + 2
    left, top = int(np.floor(pose.x_px - side / 2)), int(np.floor(pose.y_px - side / 2))
    middle = (sprite.shape[0] - 1) / 2
    move = np.asarray(cv2.getRotationMatrix2D((middle, middle), pose.angle_deg, pose.scale), dtype=np.float64)
    move[:, 2] += (pose.x_px - left - middle, pose.y_px - top - middle)
    patch = cv2.warpAffine(sprite, move, (side, side), flags=cv2.INTER_LINEAR)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, size[1]), min(top + side, size[0])
    in_frame = (slice(y0, y1), slice(x0, x1))
    in_patch = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)) if x0 < x1 and y0 < y1 else None
    return np.asarray(patch, dtype=np.uint8), in_frame, in_patch


def outline(shape: str) -> list[npt.NDArray[np.float64]]:
    """Return the contours of a shape around the origin, each float64 [N, 2], with an enclosed area of about 1.

    A second contour is a hole.
    """
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    if shape == "circle":
        return [circle / np.sqrt(np.pi)]
    if shape == "ring":
        radius = 1 / np.sqrt(np.pi * (1 - 0.56**2))
        return [circle * radius, circle * radius * 0.56]
    if shape == "ellipse":
        return [circle * (np.sqrt(1.75), 1 / np.sqrt(1.75)) / np.sqrt(np.pi)]
    if shape == "square":
        return [np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2]
    if shape == "bar":
        return [np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2 * (np.sqrt(3.2), 1 / np.sqrt(3.2))]
    if shape == "triangle":
        side = np.sqrt(4 / np.sqrt(3))
        return [np.array([(0, -2), (np.sqrt(3), 1), (-np.sqrt(3), 1)]) * side / (2 * np.sqrt(3))]
    if shape == "star":
        angles = np.pi * (np.arange(10) / 5 - 0.5)
        radii = np.where(np.arange(10) % 2 == 0, 1, 0.45)
        points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
        return [points / np.sqrt(5 * 0.45 * np.sin(np.pi / 5))]
    arm = 0.36 / 2  # a cross: two bars of length 1, scaled to area 1 below
    corners = [(-arm, -0.5), (arm, -0.5), (arm, -arm), (0.5, -arm), (0.5, arm), (arm, arm)]
    cross = np.array(corners + [(-x, -y) for x, y in corners])
    return [cross / np.sqrt(1 - (1 - 2 * arm) ** 2)]


def _paint_sprite(random: np.random.Generator, thing: SceneObject) -> Sprite:
    contours = outline(thing.shape)
    reach = max(float(np.abs(contour).max()) for contour in contours) * thing.extent_px
    softness = 0.09 * thing.extent_px
    side = 2 * int(np.ceil(reach + 3 * softness)) + 2
    fine = np.zeros((side * SUPERSAMPLING, side * SUPERSAMPLING), dtype=np.uint8)
    scale, middle = thing.extent_px * SUPERSAMPLING * 16, side * SUPERSAMPLING * 8
    points = [np.round(contour * scale + middle - 8).astype(np.int32) for contour in contours]
    cv2.fillPoly(fine, points, 255, shift=4)
    cover = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    share = cover.astype(np.float32)[..., None] / 255
    drop = np.array([[1, 0, 0.5 * softness], [0, 1, 0.8 * softness]])
    shadow = cv2.warpAffine(cv2.GaussianBlur(share, (0, 0), softness), drop, (side, side))[..., None]
    light = _lit(random, thing, np.asarray(cover, dtype=np.uint8)) * share
    taken = 255 - (1 - share) * (1 - SHADOW * shadow) * 255
    return Sprite(np.round(np.concatenate([light, taken], axis=2)).astype(np.uint8), np.asarray(cover, dtype=np.uint8))


def _lit(random: np.random.Generator, thing: SceneObject, cover: npt.NDArray[np.uint8]) -> Plane:
    """Colour of every pixel, float32 [S, S, 3] in 0-255: rounded edges, light from the upper left, a soft highlight."""
    bevel = 0.3 * thing.extent_px
    depth = np.minimum(cv2.distanceTransform((cover > 127).astype(np.uint8), cv2.DIST_L2, 5) / bevel, 1)
    dome = np.sqrt(depth * (2 - depth)) * bevel
    height = cv2.GaussianBlur(dome, (0, 0), max(0.8, 0.03 * thing.extent_px))
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, *axes, ksize=3, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    upright = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    facing = (0.45 * slope_x + 0.6 * slope_y + 0.66) * upright
    gleam = np.clip(facing, 0, 1) ** 28 * 34
    shade = 0.72 + 0.4 * np.clip(facing, 0, 1) + 0.05 * _texture(random, thing.finish, cover.shape[0], thing.extent_px)
    colour = np.array(COLOURS[thing.colour], dtype=np.float32)
    return np.asarray(np.clip(colour * shade[..., None] + gleam[..., None], 0, 255), dtype=np.float32)


def _texture(random: np.random.Generator, finish: Finish, side: int, extent_px: float) -> Plane:
    """Brightness variation of a surface, float32 [S, S], about -1 to 1."""
    if finish == "plain":
        return np.zeros((side, side), dtype=np.float32)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(extent_px)
    if finish == "stripes":
        angle = random.uniform(0, np.pi)
        along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        return np.asarray(1.3 * np.tanh(3 * np.sin(along * np.float32(2 * np.pi * 5))), dtype=np.float32)
    grid = (12, 5) if finish == "grain" else (26, 26)
    knots = random.standard_normal(grid, dtype=np.float32)
    return np.asarray(cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
