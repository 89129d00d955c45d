"""Read a sentencepiece model file (tokenizer.model): its pieces, and how it treats spaces.

Why this is not `sentencepiece`'s own reader: docs/decisions.md. Source of the format: sentencepiece_model.proto.
"""

import math
import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN

LARGEST_BYTES = 16 * 2**20
"""Limit of a file; the largest in use have 5 MB."""

LONGEST_PIECE = 512
"""Limit in characters; the longest in use has 128. The time to find merges grows with its square."""

BYTE_PAIRS = 2
"""`model_type` of byte-pair encoding (BPE)."""

INSTEAD = "use a checkpoint that has a tokenizer.json"


class Kind(IntEnum):
    """Kind of a piece, with sentencepiece's numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    """Never matched in text."""
    USER_DEFINED = 4
    """Matched in text before any merge."""
    UNUSED = 5
    BYTE = 6
    """One byte of a character that has no piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its index is its id."""

    text: str
    """Text, with "▁" for a space."""
    score: float
    """Of two possible merges, the one whose result has the higher score comes first."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class SentencePieces:
    """A byte-pair encoding vocabulary that does not normalize text."""

    pieces: tuple[Piece, ...]
    space_in_front: bool
    """Whether a space is added in front of every text."""
    byte_fallback: bool
    """Whether a character without a piece becomes its bytes."""
    bos_id: int
    eos_id: int

    @classmethod
    def read(cls, path: Path) -> "SentencePieces":
        """Read a file, which need not be trusted.

        Raises:
            RecordError: If the file is missing, damaged or too large, or its kind of encoding is not supported.
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
            raise RecordError(path, "", f"is damaged or not a sentencepiece model: {error}", FETCH_AGAIN) from None

    @classmethod
    def _parsed(cls, path: Path, content: bytes) -> "SentencePieces":
        pieces: list[Piece] = []
        specs = {2: b"", 3: b""}  # TrainerSpec and NormalizerSpec
        for number, value in _fields(content):
            if isinstance(value, bytes) and number == 1:
                pieces.append(_piece(_Message(value)))
            elif isinstance(value, bytes) and number in specs:
                specs[number] = value
        training, spaces = _Message(specs[2]), _Message(specs[3])
        vocabulary = cls(
            tuple(pieces),
            space_in_front=spaces.integer(3, 1) != 0,
            byte_fallback=training.integer(35, 0) != 0,
            bos_id=training.integer(41, 1),
            eos_id=training.integer(42, 2),
        )
        vocabulary._check()
        for strange, problem in (
            (training.integer(3, 1) != BYTE_PAIRS, "does not use byte-pair encoding"),
            (training.integer(24, 0) != 0, "treats spaces as suffixes of words"),
            (spaces.data(2) != b"", "replaces characters of the text"),
            (spaces.integer(4, 1) != 0, "removes repeated spaces from the text"),
            (spaces.integer(5, 1) == 0, "does not escape spaces"),
            (vocabulary.has(Kind.UNUSED), "has unused pieces"),
            (
                vocabulary.space_in_front and vocabulary.has(Kind.USER_DEFINED),
                "adds a space in front and has user-defined pieces",
            ),
        ):
            if strange:
                raise RecordError(path, "", f"{problem}, which is not supported", INSTEAD)
        return vocabulary

    def _check(self) -> None:
        if not self.pieces:
            raise ValueError("it has no pieces")
        if len({piece.text for piece in self.pieces}) < len(self.pieces):
            raise ValueError("two pieces have the same text")
        if sum(piece.kind == Kind.UNKNOWN for piece in self.pieces) != 1:
            raise ValueError("it does not have exactly one unknown piece")
        if not (0 <= self.bos_id < len(self.pieces) and 0 <= self.eos_id < len(self.pieces)):
            raise ValueError("it has no pieces for the begin and the end of a text")
        if self.byte_fallback and sum(piece.kind == Kind.BYTE for piece in self.pieces) != 256:
            raise ValueError("the byte vocabulary is incomplete")

    def has(self, kind: Kind) -> bool:
        """Return whether any piece is of this kind."""
        return any(piece.kind == kind for piece in self.pieces)

    def merges(self, known: Container[str]) -> list[tuple[str, str]]:
        """Return the pairs of pieces of `known` that merge to a third one, in order of priority.

        sentencepiece merges the two neighbours whose result has the highest score, for any split of the result. So all
        splits of a piece are listed, one after the other, and pieces of equal score keep the file's order.
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
    """Fields of a protobuf message by number; of a repeated field, the last value."""

    def __init__(self, content: bytes) -> None:
        self._values = dict(_fields(content))

    def integer(self, number: int, default: int) -> int:
        value = self._values.get(number, default)
        if not isinstance(value, int):
            raise ValueError(f"field {number} is not an integer")
        return value

    def data(self, number: int) -> bytes:
        value = self._values.get(number, b"")
        if not isinstance(value, bytes):
            raise ValueError(f"field {number} is not text")
        return value

    def real(self, number: int) -> float:
        value = self.data(number) or bytes(4)
        if len(value) != 4:
            raise ValueError(f"field {number} is not a number")
        return float(struct.unpack("<f", value)[0])


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each field of a protobuf message: an integer, or the bytes of any other type."""
    offset = 0
    while offset < len(content):
        key, offset = _varint(content, offset)
        if key & 7 == 0:
            value, offset = _varint(content, offset)
            yield key >> 3, value
            continue
        fixed = {1: 8, 5: 4}.get(key & 7, len(content) + 1)
        size, offset = _varint(content, offset) if key & 7 == 2 else (fixed, offset)
        if offset + size > len(content):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, content[offset : offset + size]
        offset += size


def _varint(content: bytes, offset: int) -> tuple[int, int]:
    """Decode an integer in groups of seven bits, lowest first; return it and the offset of its end."""
    number = 0
    for group in range(10):
        if offset + group >= len(content):
            break
        byte = content[offset + group]
        number |= (byte & 127) << 7 * group
        if byte < 128:
            return number, offset + group + 1
    raise ValueError("it ends in the middle of a number")
