"""Small models and made pictures for tests of training."""

from functools import cache
from pathlib import Path

from refsav.datasets.mixture import Mixture
from refsav.model.creation import create, usual_tokenizer
from refsav.model.pocket import SCENES, Pictures, pictures
from refsav.model.sa2va import Sa2VA
from refsav.model.shapes import ModelConfig
from refsav.model.train_config import LearningConfig, LearnsConfig, LossConfig, TrainingConfig

CONFIGS = Path(__file__).parents[2] / "configs"
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
def scenes(count: int = 12) -> Pictures:
    """Pictures of one to four objects."""
    return Pictures(tuple(pictures(SCENES, range(count))))


def mixture(count: int = 12) -> Mixture:
    return scenes(count).mixed()


def settings(**learning: object) -> TrainingConfig:
    """Few steps, all pixels, everything learns; `learning` says otherwise."""
    usual = {"batch": 4, "rate": 5e-4, "weight_decay": 0.01, "steps": 4, "workers": 0}
    return TrainingConfig(
        learns=WHOLE, loss=LossConfig(points=0), learning=LearningConfig.model_validate({**usual, **learning})
    )
