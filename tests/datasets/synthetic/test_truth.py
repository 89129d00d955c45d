"""A synthetic scene's ground truth follows from its masks: motion, place, occlusion, unambiguous expressions."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsav.datasets.synthetic.measure import REGIONS
from refsav.datasets.synthetic.render import SceneRenderer, outline
from refsav.datasets.synthetic.sample_scene import sample_scene
from refsav.datasets.synthetic.scene import SHAPES
from refsav.datasets.synthetic.truth import DIRECTIONS, direction_of, thirds_of
from refsav.datasets.synthetic.write_scenes import compose
from tests.datasets.synthetic.test_write_scenes import SMALL


def test_motion_and_place_follow_from_the_masks() -> None:
    checked = Counter[str]()
    for index in range(12):
        _, _, truth = compose(SMALL, index)
        for thing in (thing for thing in truth.objects if thing.visible_enough):
            x, y = thing.seen_centres_px[thing.place.row]
            thirds = ("left", "centre", "right")[int(3 * x / 160)], ("top", "middle", "bottom")[int(3 * y / 120)]
            assert (thing.place.across, thing.place.down) == thirds
            seen = np.array(thing.seen_centres_px)
            way = seen[thing.motion.last_row] - seen[thing.motion.first_row]
            distance = np.hypot(*way) / 200
            assert distance < 0.04 if thing.motion.direction == "still" else distance > 0.08
            for word, step in (("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))):
                if word in thing.motion.direction.split("-"):
                    assert way @ np.array(step) > 0.25 * np.hypot(*way)
            checked[thing.motion.direction] += 1
    assert len(checked) > 4
    assert sum(checked.values()) > 20


def test_things_at_rest_move_against_the_camera() -> None:
    config = SMALL.model_copy(update={"camera_share": 1.0, "moving_share": 0.0, "occlusion_share": 0.0})
    config = config.model_copy(update={"late_share": 0.0, "leaving_share": 0.0})
    for index in range(6):
        _, _, truth = compose(config, index)
        camera = np.array(truth.camera_px)
        for thing in truth.objects:
            assert thing.world_motion.direction == "still"
            assert np.abs(np.array(thing.centres_px) + camera - thing.centres_px[0]).max() < 0.03


def test_short_expressions_fit_one_object_only() -> None:
    kinds = Counter[str]()
    for index in range(10):
        _, _, truth = compose(SMALL, index)
        said = [phrase.text for thing in truth.objects for phrase in thing.expressions]
        assert len(said) == len(set(said))
        for thing in truth.objects:
            kinds.update(phrase.kind for phrase in thing.expressions)
            texts = {phrase.kind: phrase.text for phrase in thing.expressions}
            assert texts["colour and shape"] == f"the {thing.colour} {thing.shape}"
            assert ("colour" in texts) == (sum(other.colour == thing.colour for other in truth.objects) == 1)
            if "place" in texts:
                region = REGIONS[texts["place"].removeprefix("the object ")]
                for other in truth.objects:
                    inside = {
                        thirds_of(centre, truth.height, truth.width)[:2] in region
                        for centre, area in zip(other.seen_centres_px, other.areas_px, strict=True)
                        if area
                    }
                    assert inside == {other is thing}
    assert len(kinds) == 6


@given(seed=st.integers(0, 2**32), frame=st.integers(0, 45))
@settings(max_examples=25, deadline=None)
def test_nearer_things_hide_farther_ones(seed: int, frame: int) -> None:
    scene = sample_scene(SMALL.model_copy(update={"seed": seed, "occlusion_share": 1.0}), 0, 0)
    layers = SceneRenderer(scene).layers(frame)
    assert np.sum(layers.visible, axis=0).max() <= 1
    for number, thing in enumerate(scene.objects):
        seen = np.count_nonzero(layers.visible[number])
        assert seen <= layers.framed_px[number] <= layers.whole_px[number]
        if thing.depth == 0:
            assert seen == layers.framed_px[number]
    assert len({(thing.colour, thing.shape) for thing in scene.objects}) == len(scene.objects)


@given(angle=st.floats(0, 360), length=st.floats(0.06, 1.0))
def test_directions_are_sectors_of_45_degrees(angle: float, length: float) -> None:
    if abs((angle + 22.5) % 45) < 0.01 or abs((angle + 22.5) % 45 - 45) < 0.01:
        return
    x, y = 200 * length * np.cos(np.radians(angle)), 200 * length * np.sin(np.radians(angle))
    assert direction_of((x, y), 200.0) == DIRECTIONS[int((angle + 22.5) // 45) % 8]
    assert direction_of((x / 100, y / 100), 200.0) == "still"


@given(x=st.floats(0, 159), y=st.floats(0, 119))
def test_thirds_mirror(x: float, y: float) -> None:
    across, down, margin = thirds_of((x, y), 120, 160)
    mirrored, same, margin_mirrored = thirds_of((159 - x, y), 120, 160)
    assert (margin, down) == (pytest.approx(margin_mirrored), same)
    if margin > 1e-6:
        assert {"left": "right", "right": "left", "centre": "centre"}[across] == mirrored


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_area_one(shape: str) -> None:
    areas = [cv2.contourArea((1000 * contour).astype(np.float32)) / 1e6 for contour in outline(shape)]
    assert 2 * max(areas) - sum(areas) == pytest.approx(1, abs=0.01)
