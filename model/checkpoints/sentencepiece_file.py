"""A sentencepiece model file (tokenizer.model), read as bytes: its pieces, and how it treats spaces."""

import math
import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN

LARGEST_BYTES = 16 * 2**20
"""The largest in use have 5 MB."""

LONGEST_PIECE = 512
"""Characters; the longest in use has 128. Time to find merges grows with its square."""

BYTE_PAIRS = 2
"""`model_type` of byte-pair encoding."""

INSTEAD = "take a checkpoint that has a tokenizer.json"


class Kind(IntEnum):
    """What a piece is for, by sentencepiece's numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    """Never found in text."""
    USER_DEFINED = 4
    """Found in text before anything is merged."""
    UNUSED = 5
    BYTE = 6
    """Stands for one byte of a character that has no piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its place is its id."""

    text: str
    """With "▁" for a space."""
    score: float
    """Of two pieces that could be merged, that with the greater score is merged first."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class SentencePieces:
    """A vocabulary of byte-pair encoding that takes text as it is."""

    pieces: tuple[Piece, ...]
    space_in_front: bool
    """Whether a space is put before every text."""
    byte_fallback: bool
    bos_id: int
    eos_id: int

    @classmethod
    def read(cls, path: Path) -> "SentencePieces":
        """Read a file, whoever made it.

        Raises:
            RecordError: If it is damaged, too large, or encodes in another way than is known here.
        """
        try:
            size = path.stat().st_size
            content = path.read_bytes() if 0 < size <= LARGEST_BYTES else b""
        except OSError as error:
            raise RecordError(path, "", f"cannot be read: {error.strerror}", FETCH_AGAIN) from None
        if not content:
            problem = f"has {size} bytes, more than any tokenizer needs" if size else "is empty"
            raise RecordError(path, "", problem, FETCH_AGAIN)
        try:
            return cls._parsed(path, content)
        except ValueError as error:
            raise RecordError(path, "", f"is no sentencepiece model, or damaged: {error}", FETCH_AGAIN) from None

    @classmethod
    def _parsed(cls, path: Path, content: bytes) -> "SentencePieces":
        pieces: list[Piece] = []
        parts = {2: b"", 3: b""}
        for number, value in _fields(content):
            if isinstance(value, bytes) and number == 1:
                pieces.append(_piece(_Message(value)))
            elif isinstance(value, bytes) and number in parts:
                parts[number] = value
        training, spaces = _Message(parts[2]), _Message(parts[3])
        vocabulary = cls(
            tuple(pieces),
            space_in_front=spaces.integer(3, 1) != 0,
            byte_fallback=training.integer(35, 0) != 0,
            bos_id=training.integer(41, 1),
            eos_id=training.integer(42, 2),
        )
        vocabulary._check()
        for strange, problem in (
            (training.integer(3, 1) != BYTE_PAIRS, "is not of byte-pair encoding"),
            (training.integer(24, 0) != 0, "puts spaces behind words"),
            (spaces.data(2) != b"", "replaces characters of a text"),
            (spaces.integer(4, 1) != 0, "drops spaces of a text"),
            (spaces.integer(5, 1) == 0, "keeps spaces as they are"),
            (vocabulary.has(Kind.UNUSED), "has pieces that are not used"),
            (vocabulary.space_in_front and vocabulary.has(Kind.USER_DEFINED), "has user-defined pieces beside a space"),
        ):
            if strange:
                raise RecordError(path, "", f"{problem}: it cannot be read here", INSTEAD)
        return vocabulary

    def _check(self) -> None:
        if not self.pieces:
            raise ValueError("it has no pieces")
        if len({piece.text for piece in self.pieces}) < len(self.pieces):
            raise ValueError("two pieces are the same")
        if sum(piece.kind == Kind.UNKNOWN for piece in self.pieces) != 1:
            raise ValueError("it has not one piece for what is unknown")
        if not (0 <= self.bos_id < len(self.pieces) and 0 <= self.eos_id < len(self.pieces)):
            raise ValueError("it has no pieces for begin and end")
        if self.byte_fallback and sum(piece.kind == Kind.BYTE for piece in self.pieces) != 256:
            raise ValueError("it has not one piece for every byte")

    def has(self, kind: Kind) -> bool:
        """Whether a piece is of this kind."""
        return any(piece.kind == kind for piece in self.pieces)

    def merges(self, known: Container[str]) -> list[tuple[str, str]]:
        """Pairs of pieces of `known` that make a third one, in the order in which they are merged.

        sentencepiece looks for the best piece that two neighbours make, however it is split: splits of one piece, and
        pieces of one score, stand together here.
        """
        normal = [piece for piece in self.pieces if piece.kind == Kind.NORMAL and piece.text in known]
        texts = {piece.text for piece in normal}
        return [
            (text[:cut], text[cut:])
            for text in (piece.text for piece in sorted(normal, key=lambda piece: -piece.score))
            for cut in range(1, len(text))
            if text[:cut] in texts and text[cut:] in texts
        ]


def _piece(message: "_Message") -> Piece:
    text, score = message.data(1).decode(), message.real(2)
    if not 0 < len(text) <= LONGEST_PIECE:
        raise ValueError(f"a piece has {len(text)} characters")
    if not math.isfinite(score):
        raise ValueError(f"the score of {text!r} is {score}")
    return Piece(text, score, Kind(message.integer(3, Kind.NORMAL)))


class _Message:
    """Fields of a protobuf message by their numbers in sentencepiece_model.proto, each at most once."""

    def __init__(self, content: bytes) -> None:
        self._values = dict(_fields(content))

    def integer(self, number: int, default: int) -> int:
        value = self._values.get(number, default)
        if not isinstance(value, int):
            raise ValueError(f"field {number} is no integer")
        return value

    def data(self, number: int) -> bytes:
        value = self._values.get(number, b"")
        if not isinstance(value, bytes):
            raise ValueError(f"field {number} is no text")
        return value

    def real(self, number: int) -> float:
        value = self.data(number) or bytes(4)
        if len(value) != 4:
            raise ValueError(f"field {number} is no number")
        return float(struct.unpack("<f", value)[0])


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a protobuf message's fields, in order: integers, or the bytes of anything else."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        if key & 7 == 0:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        size, place = _varint(content, place) if key & 7 == 2 else ({1: 8, 5: 4}.get(key & 7, len(content) + 1), place)
        if place + size > len(content):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    number = 0
    for group in range(10):
        if place + group >= len(content):
            break
        byte = content[place + group]
        number |= (byte & 127) << 7 * group
        if byte < 128:
            return number, place + group + 1
    raise ValueError("it ends in the middle of a number")
