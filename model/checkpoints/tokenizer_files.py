"""Load a checkpoint's tokenizer from its files: tokenizer.json, or the sentencepiece model of InternLM2 and Llama.

The checkpoint's own tokenizer class is never loaded, so none of its code can run.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, normalizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from refsav.errors import RecordError
from refsav.model.checkpoints.sentencepiece_file import INSTEAD, Kind, SentencePieces
from refsav.model.families.mllm import Tokenizer
from refsav.model.input_errors import FETCH_AGAIN

SPACE = "▁"
"""The character that stands for a space in sentencepiece's pieces."""

CLASSES = ("InternLM2Tokenizer", "InternLM2TokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast")
"""Supported values of `tokenizer_class` in tokenizer_config.json: this module reproduces all that these classes do."""

KEPT = ("chat_template", "model_max_length")
"""Settings of tokenizer_config.json that are passed to transformers' tokenizer."""


def read_tokenizer(directory: Path) -> Tokenizer:
    """Read tokenizer.json; without it, tokenizer.model and its added tokens; without both, Qwen's vocab.json.

    Raises:
        RecordError: If the directory has none of these files, or one is damaged.
    """
    if (directory / "tokenizer.json").is_file():
        return _from_files(directory, "tokenizer.json", PreTrainedTokenizerFast)
    if (directory / "tokenizer.model").is_file():
        return _from_sentence_pieces(directory)
    if (directory / "vocab.json").is_file() and (directory / "merges.txt").is_file():
        return _from_files(directory, "vocab.json", Qwen2Tokenizer)
    raise RecordError(
        directory,
        "",
        "has neither tokenizer.json nor tokenizer.model",
        "copy the checkpoint's tokenizer files here",
    )


def _from_files(directory: Path, name: str, kind: Any) -> Tokenizer:  # noqa: ANN401 - transformers' classes
    try:
        tokenizer: Tokenizer = kind.from_pretrained(str(directory))
    except Exception as error:  # the tokenizers library raises plain exceptions
        raise RecordError(directory / name, "", f"cannot be read: {error}", FETCH_AGAIN) from error
    return tokenizer


def _from_sentence_pieces(directory: Path) -> Tokenizer:
    """Build a fast tokenizer that gives the same ids as the slow tokenizer class of the checkpoint."""
    vocabulary = SentencePieces.read(directory / "tokenizer.model")
    config_path = directory / "tokenizer_config.json"
    config = {**_settings(directory / "special_tokens_map.json"), **_settings(config_path)}
    if (name := config.get("tokenizer_class", CLASSES[0])) not in CLASSES:
        raise RecordError(config_path, "tokenizer_class", f"{name} is not supported", INSTEAD)
    if vocabulary.space_in_front and False in (config.get("legacy"), config.get("add_prefix_space")):
        raise RecordError(
            config_path, "legacy", "a tokenizer that adds no space after special tokens is not supported", INSTEAD
        )
    try:
        added = _added_tokens(vocabulary, _settings(directory / "added_tokens.json"), config)
        core = _core(vocabulary, added)
        return _wrapped(core, vocabulary, config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"does not fit {directory / 'tokenizer.model'}: {error}"
        raise RecordError(config_path, "", problem, "use both files of the same checkpoint") from error


def _added_tokens(
    vocabulary: SentencePieces, listed: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[int, AddedToken]:
    """Return the tokens that are matched in text first, by id.

    An id inside the vocabulary renames a placeholder: `[UNUSED_TOKEN_146]` becomes `<|im_start|>`.
    """
    unsplit = (Kind.UNKNOWN, Kind.CONTROL, Kind.USER_DEFINED)
    added = {
        number: AddedToken(piece.text, normalized=False, special=piece.kind != Kind.USER_DEFINED)
        for number, piece in enumerate(vocabulary.pieces)
        if piece.kind in unsplit
    }
    added |= {int(number): AddedToken(text, normalized=False, special=True) for text, number in listed.items()}
    for number, token in config.get("added_tokens_decoder", {}).items():
        flags = {flag: bool(token.get(flag, False)) for flag in ("lstrip", "rstrip", "single_word", "special")}
        added[int(number)] = AddedToken(token["content"], normalized=False, **flags)
    return added


def _core(vocabulary: SentencePieces, added: Mapping[int, AddedToken]) -> tokenizers.Tokenizer:
    """Build the tokenizer, without the names of its special tokens.

    Raises:
        ValueError: If the ids of added tokens have gaps, or one token has two ids.
    """
    texts = [piece.text for piece in vocabulary.pieces]
    unknown = next(number for number, piece in enumerate(vocabulary.pieces) if piece.kind == Kind.UNKNOWN)
    for number, token in added.items():
        if 0 <= number < len(texts):
            texts[number] = token.content
    ids = {text: number for number, text in enumerate(texts)}
    core = tokenizers.Tokenizer(
        BPE(
            ids,
            vocabulary.merges(ids),
            unk_token=texts[unknown],
            fuse_unk=True,
            byte_fallback=vocabulary.byte_fallback,
        )
    )
    front = vocabulary.space_in_front
    core.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend(SPACE)] if front else []), normalizers.Replace(" ", SPACE)]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(content=" ", left=1)] if front else []),
        ]
    )
    core.add_tokens([added[number] for number in sorted(added)])
    for number, token in added.items():
        if core.token_to_id(token.content) != number:
            raise ValueError(f"{token.content!r} cannot have the id {number}")
    return core


def _wrapped(core: tokenizers.Tokenizer, vocabulary: SentencePieces, config: Mapping[str, Any]) -> Tokenizer:
    """Wrap the tokenizer for transformers. By default it adds `<s>` in front of a text, as the original classes do."""
    unknown = next(piece.text for piece in vocabulary.pieces if piece.kind == Kind.UNKNOWN)
    usual = {
        "unk_token": unknown,
        "bos_token": core.id_to_token(vocabulary.bos_id),
        "eos_token": core.id_to_token(vocabulary.eos_id),
        "pad_token": None,
    }
    named = {name: _content(config.get(name)) or text for name, text in usual.items()}
    tokenizer: Tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        clean_up_tokenization_spaces=False,
        add_bos_token=bool(config.get("add_bos_token", True)),
        add_eos_token=bool(config.get("add_eos_token", False)),
        **{name: text for name, text in named.items() if text is not None},
        **{name: config[name] for name in KEPT if name in config},
    )
    return tokenizer


def _content(token: Any) -> str | None:  # noqa: ANN401 - a string, or an object with the key `content`
    text = token.get("content") if isinstance(token, Mapping) else token
    return None if text is None else str(text)


def _settings(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if the file does not exist."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RecordError(path, "", f"cannot be read as JSON: {error}", FETCH_AGAIN) from None
    if not isinstance(found, dict):
        raise RecordError(path, "", "is not a JSON object", FETCH_AGAIN)
    return found
