"""Configuration files of trainings: all of them fit, in layers, and what stands in none is the paper's."""

from itertools import chain
from pathlib import Path

import pytest

from refsav.errors import ConfigError
from refsav.model.training_config import TrainConfig

CONFIGS = Path(__file__).parents[2] / "configs"
TRAIN, MIXTURE = CONFIGS / "train", CONFIGS / "data/sa2va.toml"


@pytest.mark.parametrize("path", sorted((TRAIN / "ablations").glob("*.toml")), ids=lambda path: path.stem)
def test_ablations_are_layers_of_the_papers_training(path: Path) -> None:
    config = TrainConfig.from_toml(TRAIN / "paper.toml", layers=(MIXTURE, path))
    named = {source.name for source in config.data.sources}
    assert set(config.data.without) <= named and len(named) == 15
    assert config.learning.batch == 256


def test_what_is_not_said_is_as_the_paper_has_it() -> None:
    config = TrainConfig.from_toml(TRAIN / "paper.toml")
    assert (config.lora.rank, config.lora.alpha, config.lora.dropout) == (256, 512, 0.05)
    assert (config.learning.rate, config.learning.weight_decay, config.learning.warm_up) == (4e-5, 0.05, 0.05)
    assert (config.learning.clip, config.learning.most_tokens, config.learning.epochs) == (1, 8192, 1)
    assert (config.loss.text, config.loss.pixels, config.loss.dice, config.loss.points) == (1, 2, 0.5, 12544)
    learns = config.learns.model_dump()
    assert {part for part, how in learns.items() if how != "frozen"} == {
        *("language_model", "embeddings", "seg_projection", "mask_decoder")
    }
    assert learns["language_model"] == "lora"


def test_a_later_file_wins_over_an_earlier_one_and_options_over_both(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[learning]\nbatch = 8\nrate = 1.0\n")
    config = TrainConfig.from_toml(
        TRAIN / "paper.toml", {"learning.rate": 2.0}, layers=(TRAIN / "ablations/1b.toml", tmp_path / "mine.toml")
    )
    assert (config.learning.batch, config.learning.rate, config.learning.workers) == (8, 2.0, 8)
    assert config.model.origin == "models/sa2va-1b"


def test_a_wrong_key_of_a_layer_is_reported_with_all_files(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[learning]\nlearning_rate = 1.0\n")
    with pytest.raises(ConfigError) as raised:
        TrainConfig.from_toml(TRAIN / "paper.toml", layers=(tmp_path / "mine.toml",))
    assert "paper.toml with " in str(raised.value)
    assert "learning.learning_rate: there is no such key" in str(raised.value)


def test_files_name_places_that_are_there() -> None:
    for path in chain(TRAIN.glob("*.toml"), CONFIGS.glob("data/*.toml")):
        TrainConfig.from_toml(path)
    assert Path(TrainConfig.from_toml(TRAIN / "pocket.toml").model.origin).parts[0] == "configs"
