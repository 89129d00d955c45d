"""A tokenizer made of texts: the same texts give the same bytes, and it speaks as the released ones do."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.creation.tokenizers import SMALLEST_SIZE, TURNS, tokenizer_files, train_tokenizer, usual_texts
from refsav.model.families.mllm import SPECIAL_TOKENS
from refsav.model.input_errors import InputError

DIGEST = """
import sys
from tests.model.creation.test_tokenizers import digest_of_a_tokenizer
sys.stdout.write(digest_of_a_tokenizer(reversed))
"""


def digest_of_a_tokenizer(order: Callable[[list[str]], Iterable[str]]) -> str:
    files = tokenizer_files(train_tokenizer(order(list(usual_texts())), 600))
    return hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()


def test_the_same_texts_give_the_same_bytes_in_any_order_and_process() -> None:
    elsewhere = subprocess.run(
        [sys.executable, "-c", DIGEST],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "false"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert elsewhere == digest_of_a_tokenizer(sorted) and len(elsewhere) == 64


def test_words_of_synthetic_scenes_are_short_and_any_text_comes_back() -> None:
    tokenizer = train_tokenizer(usual_texts(), 1024)
    assert len(tokenizer) <= 1024

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    for colour in ("red", "purple"):
        assert count(f"Please segment the {colour} triangle in this image.") == 9
    assert count(" moving down and to the left") == 6
    assert count(" A medium-sized turquoise object. At one moment it is on the left, growing larger.") == 19
    for text in ("Ein Straßenkünstler zieht weiße Bälle.\n 中文 🎈", "", "  two  spaces "):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("template", TURNS)
def test_special_tokens_are_one_token_each_and_sa2vas_come_last(template: str) -> None:
    tokenizer = train_tokenizer(usual_texts(), 400, template=template)
    assert len(tokenizer) == 400
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS] == list(range(395, 400))
    turn = "".join(TURNS[template])
    text = f"{turn}<|vision_start|><|image_pad|><img><IMG_CONTEXT></img>a[SEG]<p>b</p>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert len(ids) == len(TURNS[template]) + 10
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids(TURNS[template][-1])


def test_it_is_read_back_from_its_files_as_it_was(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(usual_texts(), 500)
    for name, content in tokenizer_files(tokenizer).items():
        (tmp_path / name).write_bytes(content)
    again = read_tokenizer(tmp_path)
    text = "<|im_start|>user\nthe red ring[SEG]"
    assert again.encode(text, add_special_tokens=False) == tokenizer.encode(text, add_special_tokens=False)
    assert (again.eos_token_id, again.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert (len(again), again.chat_template) == (len(tokenizer), tokenizer.chat_template)


@pytest.mark.parametrize("generation", [True, False])
def test_a_chat_is_laid_out_as_the_stock_template_does(parity_data: Path, generation: bool) -> None:
    ours, stock = train_tokenizer(usual_texts(), 400), read_tokenizer(parity_data / "qwen3vl")
    content = [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "what is it?"}]
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": content}]
    laid_out = [
        one.apply_chat_template(chat, tokenize=False, add_generation_prompt=generation) for one in (ours, stock)
    ]
    assert laid_out[0] == laid_out[1]


def test_a_qwens_vocabulary_and_merges_are_enough(parity_data: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((parity_data / "internvl" / name).read_bytes())
    found, expected = read_tokenizer(tmp_path), read_tokenizer(parity_data / "internvl")
    text = "<|im_start|>user\nété, the red circle<IMG_CONTEXT>[SEG]"
    assert found.encode(text, add_special_tokens=False) == expected.encode(text, add_special_tokens=False)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match=f"{SMALLEST_SIZE - 1} tokens are too few"):
        train_tokenizer([], SMALLEST_SIZE - 1)
    with pytest.raises(InputError, match="'vicuna' is unknown"):
        train_tokenizer([], 400, template="vicuna")
    assert len(train_tokenizer([], SMALLEST_SIZE, template="phi3_chat")) == SMALLEST_SIZE
