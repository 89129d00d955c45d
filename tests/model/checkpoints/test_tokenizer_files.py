"""A tokenizer read from tokenizer.model gives the ids that the checkpoint's own class gave."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from refsav.errors import RecordError
from refsav.model.checkpoints.tokenizer_files import read_tokenizer
from refsav.model.creation.tokenizers import add_tokens, tokenizer_files
from refsav.model.families.internvl import InternVL
from refsav.model.families.vision import VisionLayout
from refsav.model.input_errors import InputError

DATA = Path(__file__).parents[2] / "data/tokenizers"
INTERNLM2, LLAMA = DATA / "internlm2", DATA / "llama"
BOTH = pytest.mark.parametrize("folder", [INTERNLM2, LLAMA], ids=lambda folder: folder.name)
BOS = 1


def cases(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "cases.json").read_text())


def without_spaces(text: str) -> str:
    return "".join(text.split())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(INTERNLM2, tmp_path / "checkpoint")


def change(path: Path, **keys: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@BOTH
def test_ids_are_those_of_the_original_class(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    for case in cases(folder):
        assert tokenizer.encode(case["text"], add_special_tokens=False) == case["ids"], case["text"]
        assert tokenizer.encode(case["text"], add_special_tokens=True) == [BOS, *case["ids"]], case["text"]


def test_text_comes_back_as_it_was() -> None:
    tokenizer = read_tokenizer(INTERNLM2)
    for case in cases(INTERNLM2):
        expected = case["text"].replace("▁", " ")  # sentencepiece does not tell the two apart
        assert tokenizer.decode(case["ids"], skip_special_tokens=False) == expected


@BOTH
def test_text_is_that_of_sentencepiece_and_of_the_original_class_but_for_its_spaces(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    for case in cases(folder):
        text = tokenizer.decode(case["ids"], skip_special_tokens=False)
        assert without_spaces(text) == without_spaces(case["official_text"])
        assert text == case.get("sentencepiece_text", text)


def test_special_tokens_have_their_names_and_places() -> None:
    tokenizer: Any = read_tokenizer(INTERNLM2)
    named = (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert named == (0, 1, 2, 2)
    assert tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|im_start|>", "<img>", "[SEG]"]) == [640, 641, 642, 651]
    assert len(tokenizer) == 656, "renaming a piece adds none"
    assert tokenizer.convert_tokens_to_ids("[UNUSED_TOKEN_9]") == tokenizer.unk_token_id, "it is <|im_start|> now"
    assert tokenizer.decode([641, 319, 651], skip_special_tokens=True) == "user"
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "it"}], tokenize=False)
    assert turn == "<s><|im_start|>user\nit<|im_end|>\n"


def test_bos_is_left_out_where_the_configuration_says_so(copied: Path) -> None:
    change(copied / "tokenizer_config.json", add_bos_token=False)
    assert read_tokenizer(copied).encode("it", add_special_tokens=True) == [276]


def test_added_tokens_of_older_checkpoints(copied: Path) -> None:
    """transformers before 4.34 listed added tokens beside the configuration, not in it."""
    config = json.loads((copied / "tokenizer_config.json").read_text())
    renamed = {int(number): token["content"] for number, token in config.pop("added_tokens_decoder").items()}
    (copied / "tokenizer_config.json").write_text(json.dumps(config))
    listed = {**json.loads((copied / "added_tokens.json").read_text()), **{renamed[n]: n for n in range(636, 642)}}
    (copied / "added_tokens.json").write_text(json.dumps(listed))
    tokenizer = read_tokenizer(copied)
    for case in cases(INTERNLM2):
        assert tokenizer.encode(case["text"], add_special_tokens=False) == case["ids"]


def test_names_from_the_special_tokens_map_or_the_vocabulary(copied: Path) -> None:
    config = json.loads((copied / "tokenizer_config.json").read_text())
    kept = {key: value for key, value in config.items() if key in ("added_tokens_decoder", "tokenizer_class")}
    (copied / "tokenizer_config.json").write_text(json.dumps(kept))
    (copied / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    tokenizer: Any = read_tokenizer(copied)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "<|im_end|>", None)


@BOTH
def test_saved_and_read_again_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    read_tokenizer(folder).save_pretrained(str(tmp_path))
    assert (tmp_path / "tokenizer.json").is_file()
    again = read_tokenizer(tmp_path)
    for case in cases(folder):
        assert again.encode(case["text"], add_special_tokens=True) == [BOS, *case["ids"]]


def test_a_tokenizer_json_comes_first(copied: Path, tmp_path: Path) -> None:
    read_tokenizer(copied).save_pretrained(str(tmp_path / "saved"))
    shutil.copy(tmp_path / "saved/tokenizer.json", copied)
    (copied / "tokenizer.model").write_bytes(b"not looked at")
    assert read_tokenizer(copied).encode("it [SEG]", add_special_tokens=True) == [BOS, 276, 508, 651]


def test_sa2vas_tokens_are_added_to_a_base_models(copied: Path, tmp_path: Path) -> None:
    """As official training does it: ids 651 to 655, and the file that is written has them and `<s>` in front."""
    config = json.loads((copied / "tokenizer_config.json").read_text())
    base = {number: token for number, token in config["added_tokens_decoder"].items() if int(number) < 651}
    change(copied / "tokenizer_config.json", added_tokens_decoder=base)
    (copied / "added_tokens.json").unlink()
    tokenizer = read_tokenizer(copied)
    assert len(tokenizer) == 651
    add_tokens(tokenizer)
    (tmp_path / "made").mkdir()
    for name, content in tokenizer_files(tokenizer).items():
        (tmp_path / "made" / name).write_bytes(content)
    for one in (tokenizer, read_tokenizer(tmp_path / "made")):
        assert [one.encode(case["text"], add_special_tokens=True) for case in cases(INTERNLM2)] == [
            [BOS, *case["ids"]] for case in cases(INTERNLM2)
        ]


def test_no_code_of_a_checkpoint_runs(copied: Path) -> None:
    ran = copied / "ran"
    for name in ("tokenization_internlm2.py", "tokenization_internlm2_fast.py"):
        (copied / name).write_text(f"open({str(ran)!r}, 'w')\nclass InternLM2Tokenizer: ...")
    change(
        copied / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer"] * 2},
    )
    assert len(read_tokenizer(copied)) == 656
    assert not ran.exists()


# ---- as InternVL uses it ----


def internvl(folder: Path) -> InternVL:
    vision = SimpleNamespace(image_size=[28, 28], patch_size=[14, 14])
    model: Any = SimpleNamespace(config=SimpleNamespace(vision_config=vision, downsample_ratio=0.5))
    return InternVL(model, read_tokenizer(folder), "internlm2_chat", 12)


def test_prompts_begin_with_bos_and_answers_end_their_turn() -> None:
    adapter = internvl(INTERNLM2)
    nothing = torch.empty(0)
    ids = adapter.write("What runs?", VisionLayout(tokens_per_frame=(2, 2), grids=nothing))
    (expected,) = (case["ids"] for case in cases(INTERNLM2) if "What runs?" in case["text"])
    assert ids == [BOS, *expected]
    assert adapter.stop_ids == (640, 2)
    assert adapter.answer_ids("Sure, [SEG].") == [343, 530, 508, adapter.seg_id, 524, 640]
    assert adapter.text_of([*adapter.answer_ids("Sure, <p> the dog </p> [SEG]."), 2]) == "Sure, <p> the dog </p> [SEG]."


@pytest.mark.parametrize("files", [("tokenizer.json",), ("vocab.json", "merges.txt")], ids=lambda files: files[0])
def test_nothing_stands_before_prompts_of_a_qwen(parity_data: Path, tmp_path: Path, files: tuple[str, ...]) -> None:
    for name in (*files, "added_tokens.json", "tokenizer_config.json"):
        shutil.copy(parity_data / "internvl" / name, tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    turn = "<|im_start|>user\nit<|im_end|>\n"
    assert tokenizer.encode(turn, add_special_tokens=True) == tokenizer.encode(turn, add_special_tokens=False)


def test_a_tokenizer_without_seg_is_refused(copied: Path) -> None:
    config = json.loads((copied / "tokenizer_config.json").read_text())
    kept = {number: token for number, token in config["added_tokens_decoder"].items() if int(number) < 651}
    change(copied / "tokenizer_config.json", added_tokens_decoder=kept)
    (copied / "added_tokens.json").unlink()
    with pytest.raises(InputError, match=r"the tokenizer has no token \[SEG\]\n  fix: use the tokenizer files"):
        internvl(copied)


# ---- what cannot be used ----


def problem_of(folder: Path) -> str:
    with pytest.raises(RecordError) as caught:
        read_tokenizer(folder)
    return caught.value.line.replace(str(folder), "")


def test_no_tokenizer_at_all(tmp_path: Path) -> None:
    problem = "has neither tokenizer.json nor tokenizer.model"
    assert problem_of(tmp_path) == f": {problem}; fix: copy the checkpoint's tokenizer files here"


def test_a_damaged_tokenizer_json(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    assert problem_of(tmp_path).startswith("/tokenizer.json: cannot be read: ")


def test_a_damaged_model_file(copied: Path) -> None:
    content = (copied / "tokenizer.model").read_bytes()
    (copied / "tokenizer.model").write_bytes(content[: len(content) // 2])
    assert problem_of(copied).startswith("/tokenizer.model: is damaged or not a sentencepiece model: ")


def test_a_damaged_configuration(copied: Path) -> None:
    (copied / "tokenizer_config.json").write_text("[]")
    assert problem_of(copied) == "/tokenizer_config.json: is not a JSON object; fix: copy or download the file again"
    (copied / "tokenizer_config.json").write_text("{")
    assert problem_of(copied).startswith("/tokenizer_config.json: cannot be read as JSON: ")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"tokenizer_class": "GemmaTokenizer"}, ":tokenizer_class: GemmaTokenizer is not supported"),
        (
            {"added_tokens_decoder": {"700": {"content": "far"}}},
            ": does not fit /tokenizer.model: 'far' cannot have the",
        ),
        ({"added_tokens_decoder": {"0": {"content": "it"}}}, ": does not fit /tokenizer.model: "),
        ({"added_tokens_decoder": {"-1": {"content": "low"}}}, ": does not fit /tokenizer.model: "),
        ({"added_tokens_decoder": {"x": {"content": "y"}}}, ": does not fit /tokenizer.model: invalid literal"),
        ({"added_tokens_decoder": {"656": "new"}}, ": does not fit /tokenizer.model: 'str' object has no attribute"),
        ({"added_tokens_decoder": {"656": {"content": 5}}}, ": does not fit /tokenizer.model: "),
        ({"added_tokens_decoder": {"656": {}}}, ": does not fit /tokenizer.model: 'content'"),
        ({"added_tokens_decoder": []}, ": does not fit /tokenizer.model: 'list' object has no attribute"),
    ],
)
def test_a_configuration_that_does_not_fit(copied: Path, keys: dict[str, object], problem: str) -> None:
    change(copied / "tokenizer_config.json", **keys)
    assert problem_of(copied).startswith(f"/tokenizer_config.json{problem}")


@pytest.mark.parametrize("key", ["legacy", "add_prefix_space"])
def test_spaces_that_depend_on_what_stands_before_are_refused(tmp_path: Path, key: str) -> None:
    folder = shutil.copytree(LLAMA, tmp_path / "checkpoint")
    change(folder / "tokenizer_config.json", **{key: False})
    assert problem_of(folder) == (
        "/tokenizer_config.json:legacy: a tokenizer that adds no space after special tokens is not supported; "
        "fix: use a checkpoint that has a tokenizer.json"
    )
