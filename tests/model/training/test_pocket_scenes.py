"""Pictures of made scenes as training data, and how well a model does on them."""

import numpy as np
import pytest

from refsav.model.language import inference_prompts as prompts
from refsav.model.training.pocket_scenes import SCENES, SceneFrame, SceneFrames, mean_iou, scene_frames
from tests.support.data.training_data import pocket


@pytest.fixture(scope="module")
def data() -> list[SceneFrame]:
    return list(scene_frames(SCENES, range(8)))


def test_pictures_name_each_object_by_what_fits_it_alone(data: list[SceneFrame]) -> None:
    for one in data:
        assert len(set(one.expressions)) == len(one.expressions) == len(one.masks)
        assert all(mask.any() and mask.shape == one.frame.shape[:2] for mask in one.masks)


def test_an_example_asks_for_every_object_of_a_picture_as_inference_does(data: list[SceneFrame]) -> None:
    source = SceneFrames(data)
    assert len(source) == len(source.mixed()) == len(data)
    one, example = data[1], source.read(1, np.random.default_rng(0))
    asked = [prompts.IMAGE + turn.question for turn in example.turns]
    assert sorted(asked) == sorted(prompts.segment(expression, video=False) for expression in one.expressions)
    for turn, masks in zip(example.turns, example.masks, strict=True):
        named = next(number for number, text in enumerate(one.expressions) if text in turn.question)
        assert np.array_equal(masks[0], one.masks[named])
    orders = {source.read(1, np.random.default_rng(seed)).turns for seed in range(20)}
    assert len(orders) > 1


def test_a_model_without_training_is_measured_too(data: list[SceneFrame]) -> None:
    model = pocket()
    assert 0 <= mean_iou(model, data[:2]) < 0.5
    assert 0 <= mean_iou(model, data[:2], shuffled=True) < 0.5
