"""Qwen2.5-VL, for which there is no reference: held to transformers' own forward pass, and to known facts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from refsav.datasets.frames import Image
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.families.qwen import Qwen, _first_resize
from refsav.model.families.sizes import SHOWN_PIXELS
from refsav.model.sa2va import Sa2VA

PROMPTS = ("Please segment the red object.", "What is it, and where?", "Please segment the large blue ring.")
ANSWERS = ("Sure, [SEG].", "[SEG] and [SEG].", "It is [SEG].")


def model_of(name: str, **changes: object) -> Sa2VA:
    config = ModelConfig.from_toml(Path(__file__).parents[3] / f"configs/models/{name}.toml")
    config = config.model_copy(update=changes)
    return create(config, usual_tokenizer(config))


def frames(count: int) -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_seg_states_of_a_batch_are_those_of_transformers_own_forward(count: int) -> None:
    model = model_of("pocket-qwen25")
    mllm, shown = model.adapter, frames(count)
    assert isinstance(mllm, Qwen)
    said = model.generate_text(shown, PROMPTS, answers=ANSWERS)
    sight = mllm.encode_frames(shown, ())
    pictures = mllm._processor([_first_resize(frame) for frame in shown], return_tensors="pt")
    for prompt, answer, one in zip(PROMPTS, ANSWERS, said, strict=True):
        ids = torch.tensor([[*mllm.write(prompt, sight), *mllm.answer_ids(answer)]])
        with torch.inference_mode():
            output = model.mllm.model(
                input_ids=ids,
                pixel_values=pictures["pixel_values"],
                image_grid_thw=pictures["image_grid_thw"],
                mm_token_type_ids=(ids == mllm.placeholder_id).int(),
            )
        expected = output.last_hidden_state[0, ids[0] == mllm.seg_id]  # after the last normalization
        assert len(expected) == answer.count("[SEG]")
        torch.testing.assert_close(one.seg_hidden, expected, atol=1e-3, rtol=0)


def test_the_reference_picture_becomes_540_tokens_at_the_released_bounds() -> None:
    model = model_of("pocket-qwen25", shown_pixels=SHOWN_PIXELS)
    sight = model.adapter.encode_frames(frames(1), ())
    assert sight.grids.tolist() == [[1, 504 // 14, 840 // 14]]
    assert sight.tokens_per_frame == (540,)
