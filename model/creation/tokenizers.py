"""Train a tokenizer for a new model, and add Sa2VA's tokens to an existing one."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Fast
from transformers import PreTrainedTokenizerFast

from refsav.datasets.synthetic.measure import MOTION_WORDS, REGIONS
from refsav.datasets.synthetic.scene import COLOURS, EXTENTS, GROUNDS, SHAPES
from refsav.model.families.mllm import IMAGE_MARK, SPECIAL_TOKENS, Tokenizer
from refsav.model.input_errors import InputError
from refsav.model.language import inference_prompts as prompts

PAD = "<|endoftext|>"
TURNS: Mapping[str, tuple[str, ...]] = {
    "qwen_chat": ("<|im_start|>", "<|im_end|>"),
    "internlm2_chat": ("<|im_start|>", "<|im_end|>"),
    "phi3_chat": ("<|user|>", "<|assistant|>", "<|end|>"),
}
"""Tokens of a conversation, by name of the template; the last one ends a turn."""

SEEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<img>", "</img>", "<IMG_CONTEXT>")
"""Tokens around and in place of image features: Qwen's, then InternVL's. A trained tokenizer has both."""

CHAT_TEMPLATE = (
    "{% for turn in messages %}"
    "{{ '<|im_start|>' + turn.role + '\n' }}"
    "{% if turn.content is string %}{{ turn.content }}{% else %}"
    "{% for part in turn.content %}"
    "{% if part.type in ('image', 'video') %}"
    "{{ '<|vision_start|><|' + part.type + '_pad|><|vision_end|>' }}"
    "{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Qwen3-VL's turns. Qwen2.5-VL's own template adds a system turn, which Sa2VA's training does not have."""

SMALLEST_SIZE = 256 + 1 + max(map(len, TURNS.values())) + len(SEEN) + len(SPECIAL_TOKENS)
"""Smallest vocabulary: all bytes and all special tokens."""

ANSWERS = ("Sure, it is .", "Sure, .", "It is .", "The segmentation result is .", "There is no such object.")
RELATIONS = ("next to", "in front of", "behind", "above", "below", "to the left of", "to the right of", "near")
DESCRIPTIONS = (
    "A tiny grey round object, even in tone, in the middle.",
    "An orange oval object, taller than it is wide, strongly varied in light and dark.",
    "A medium-sized mostly turquoise rectangular object with some beige and brown, much wider than it is tall.",
    "A large ring-shaped object, hard to tell apart from what is around it.",
    "A small triangular object, growing larger.",
    "A very large star-shaped object, growing smaller.",
    "A cross-shaped object. At one moment it is at the top left, against an orange background, with nothing of another "
    "colour close by.",
    "It is on the right, against a grey background, with something grey just to its left and just above it.",
    "It is in the centre, with something beige just to its right and something brown just below it.",
    "It moves about and ends farther up and to the left, from bottom to top, while the camera keeps nearly still.",
    "It moves down and to the right on the screen, while the camera moves to the left.",
    "It stays in nearly the same place. It moves about and ends close to where it started.",
    "It comes into view only later, is hidden for a while and is out of sight at the end.",
    "It is hidden more than once. It is never in view long enough to tell how it moves.",
)
"""Sentences of the engine `attributes` that contain each of its words."""


def usual_texts() -> Iterator[str]:
    """Yield prompts and answers about synthetic scenes, which pocket models are trained on."""
    for phrase in _phrases():
        yield _words(prompts.segment(phrase, video=False))
        yield _words(prompts.segment(phrase, video=True))
        yield f"{phrase[0].upper()}{phrase[1:]}."
    yield from (_words(prompts.GROUNDED_CAPTION), *(_words(prompts.caption(video=video)) for video in (False, True)))
    yield from (_words(prompts.region(number)) for number in range(1, 10))
    yield from (_words(prompts.segment(description, video=True)) for description in DESCRIPTIONS)
    yield from ANSWERS
    yield _words(prompts.segment("which object is it?", video=False))
    for ground in GROUNDS:
        yield f"The video shows an object on {ground}. The image shows objects on {ground}."


def train_tokenizer(
    texts: Iterable[str], size: int, *, template: str = "qwen_chat", added: Sequence[str] = SPECIAL_TOKENS
) -> Tokenizer:
    """Train a byte-level BPE tokenizer. The same texts give the same tokenizer.

    Args:
        texts: Texts that it encodes in few tokens; it can encode any other text too.
        size: Largest number of tokens, with special ones; there are fewer if the texts have too few pairs to merge.
        template: Conversation template of the model.
        added: Tokens with the highest ids; a base model's tokenizer does not have Sa2VA's.

    Raises:
        InputError: If the size is too small, or the template unknown.
    """
    if template not in TURNS:
        raise InputError(f"the template {template!r} is unknown", f"use one of {', '.join(TURNS)}")
    if size < SMALLEST_SIZE:
        raise InputError(f"{size} tokens are too few for a tokenizer", f"allow {SMALLEST_SIZE} or more")
    special = (PAD, *TURNS[template], *SEEN)
    fast = Fast(models.BPE())
    fast.normalizer = normalizers.NFC()
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(special) - len(added),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    fast.train_from_iterator(sorted(set(texts)), trainer)
    fast.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer: Tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token=TURNS[template][-1], pad_token=PAD, clean_up_tokenization_spaces=False
    )
    add_tokens(tokenizer, added)
    if template == "qwen_chat":
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def add_tokens(tokenizer: Tokenizer, tokens: Sequence[str] = SPECIAL_TOKENS) -> None:
    """Add tokens with the highest ids, in this order; tokens that the tokenizer already has keep their ids."""
    tokenizer.add_tokens(list(tokens), special_tokens=True)


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, bytes]:
    """Return the files of a tokenizer in a checkpoint, by name."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _phrases() -> Iterator[str]:
    for colour in COLOURS:
        yield f"the {colour} object"
        yield from (f"the {size} {colour} object" for size in EXTENTS)
        yield from (f"the {colour} object {motion}" for motion in MOTION_WORDS.values())
        for shape in SHAPES:
            yield from (f"the {shape}", f"the {colour} {shape}", f"the {colour} {shape} that moves")
            yield from (f"the {colour} {shape} {relation} the {shape}" for relation in RELATIONS)
    yield from (f"the object {words}" for words in (*REGIONS, *MOTION_WORDS.values()))
    yield from (f"the {size} object" for size in EXTENTS)


def _words(prompt: str) -> str:
    return prompt.replace(IMAGE_MARK, "")


__all__ = ["SMALLEST_SIZE", "add_tokens", "tokenizer_files", "train_tokenizer", "usual_texts"]
