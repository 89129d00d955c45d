"""Small models and made pictures for tests of training."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import tomli_w
from PIL import Image

from refsav.datasets.masks import encode
from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.datasets.training_examples.mixture import Mixture
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.sa2va import Sa2VA
from refsav.model.training.pocket_scenes import SCENES, SceneFrames, scene_frames
from refsav.model.training_config import (
    InitialModelConfig,
    LearningConfig,
    LearnsConfig,
    LossConfig,
    MetricsConfig,
    TrainingConfig,
)

CONFIGS = Path(__file__).parents[3] / "configs"
WHOLE = LearnsConfig(
    language_model="full",
    vision_tower="full",
    vision_projection="full",
    image_encoder="full",
    prompt_encoder="full",
)
"""All parts learn, as a model from nothing needs it."""


@cache
def _sizes(name: str) -> ModelConfig:
    return ModelConfig.from_toml(CONFIGS / f"models/{name}.toml")


@cache
def _tokenizer(name: str):
    return usual_tokenizer(_sizes(name))


def pocket(name: str = "pocket") -> Sa2VA:
    """A new model; the same each time."""
    return create(_sizes(name), _tokenizer(name))


@cache
def scenes(count: int = 12) -> SceneFrames:
    """Pictures of one to four objects."""
    return SceneFrames(tuple(scene_frames(SCENES, range(count))))


class Words:
    """Questions about pictures that are answered without a mask."""

    name = "words"
    files = ()

    def __len__(self) -> int:
        return len(scenes())

    def length_of(self, index: int) -> int:
        return scenes().length_of(index)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        seen = scenes().read(index, random)
        return replace(seen, turns=(Turn("What is it?", "There is no such object."),), masks=())


def mixture(count: int = 12) -> Mixture:
    return scenes(count).mixed()


def settings(**learning: object) -> TrainingConfig:
    """Few steps, all pixels, everything learns; `learning` says otherwise."""
    usual = {"batch": 4, "rate": 5e-4, "weight_decay": 0.01, "steps": 4, "workers": 0}
    return TrainingConfig(
        model=InitialModelConfig(origin=str(CONFIGS / "models/pocket.toml")),
        watching=MetricsConfig(trackers="none"),
        learns=WHOLE,
        loss=LossConfig(points=0),
        learning=LearningConfig.model_validate({**usual, **learning}),
    )


def write_own_images(folder: Path, count: int = 12) -> Path:
    """The pictures as images of one's own, as a data source reads them."""
    items = []
    (folder / "images").mkdir(parents=True)
    for number, one in enumerate(scenes(count).frames):
        Image.fromarray(one.frame).save(folder / f"images/{number}.png")
        masks = [{"size": list(rle.size), "counts": rle.counts} for rle in map(encode, one.masks)]
        items.append({"image": f"{number}.png", "mask": masks, "text": list(one.expressions)})
    (folder / "annotations.json").write_text(json.dumps(items))
    return folder


def write_config(folder: Path, **learning: object) -> Path:
    """A TOML file that trains the pocket model on those."""
    config = settings(**learning).model_dump(mode="json")
    data = {"sources": [{"kind": "own-images", "path": str(write_own_images(folder / "images-of-mine"))}]}
    path = folder / "train.toml"
    path.write_text(tomli_w.dumps({**config, "data": data}))
    return path
