"""What stands in a sentencepiece model file; files that are damaged, hostile, or of another kind."""

import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.errors import RecordError
from refsav.model.checkpoints.sentencepiece_file import LARGEST_BYTES, LONGEST_PIECE, Kind, Piece, SentencePieces

DATA = Path(__file__).parents[2] / "data/tokenizers"
REAL = (DATA / "internlm2/tokenizer.model").read_bytes()


def varint(number: int) -> bytes:
    groups = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def field(number: int, value: int | float | bytes) -> bytes:
    """A field of a protobuf message, as protobuf writes it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def piece(text: str, kind: Kind = Kind.NORMAL, score: float = 0.0) -> bytes:
    return field(1, field(1, text.encode()) + field(2, score) + field(3, int(kind)))


SPECIAL = piece("<unk>", Kind.UNKNOWN) + piece("<s>", Kind.CONTROL) + piece("</s>", Kind.CONTROL)
TRAINING = field(3, 2)
SPACES = field(3, 0) + field(4, 0)
WHOLE = SPECIAL + field(2, TRAINING) + field(3, SPACES)


def read(path: Path, content: bytes) -> SentencePieces:
    path.write_bytes(content)
    return SentencePieces.read(path)


def problem_of(path: Path, content: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        read(path, content)
    assert caught.value.path == path and caught.value.fix
    return caught.value.problem


def test_what_the_files_hold() -> None:
    internlm2 = SentencePieces.read(DATA / "internlm2/tokenizer.model")
    assert Counter(piece.kind for piece in internlm2.pieces) == {
        Kind.NORMAL: 369,
        Kind.UNKNOWN: 1,
        Kind.CONTROL: 2,
        Kind.USER_DEFINED: 14,
        Kind.BYTE: 256,
    }
    assert internlm2.pieces[641] == Piece("[UNUSED_TOKEN_9]", 0.0, Kind.USER_DEFINED)
    assert (internlm2.space_in_front, internlm2.byte_fallback, internlm2.bos_id, internlm2.eos_id) == (
        False,
        True,
        1,
        2,
    )
    llama = SentencePieces.read(DATA / "llama/tokenizer.model")
    assert (llama.space_in_front, len(llama.pieces)) == (True, 560)


def test_merges_go_by_score_and_stay_among_normal_pieces(tmp_path: Path) -> None:
    scored = [("a", -9.0), ("b", -8.0), ("ab", -3.0), ("ba", -2.0), ("aba", -2.0), ("bab", -4.0)]
    content = WHOLE + b"".join(piece(text, score=score) for text, score in scored) + piece("bb", Kind.USER_DEFINED)
    vocabulary = read(tmp_path / "m", content)
    known = {text for text, _ in scored}
    assert vocabulary.merges(known | {"bb"}) == [
        ("b", "a"),
        ("a", "ba"),
        ("ab", "a"),
        ("a", "b"),
        ("b", "ab"),
        ("ba", "b"),
    ]
    assert vocabulary.merges(known - {"a", "ab"}) == [("ba", "b")]


def test_fields_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    strange = field(9, 5) + field(10, b"later") + varint(11 << 3 | 1) + bytes(8) + field(12, 1.0)
    vocabulary = read(tmp_path / "m", strange + WHOLE + strange)
    assert [piece.text for piece in vocabulary.pieces] == ["<unk>", "<s>", "</s>"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (SPECIAL, "does not use byte-pair encoding"),
        (SPECIAL + field(2, field(3, 1)) + field(3, SPACES), "does not use byte-pair encoding"),
        (SPECIAL + field(2, TRAINING + field(24, 1)) + field(3, SPACES), "treats spaces as suffixes of words"),
        (SPECIAL + field(2, TRAINING) + field(3, SPACES + field(2, b"map")), "replaces characters of the text"),
        (SPECIAL + field(2, TRAINING) + field(3, field(3, 0)), "removes repeated spaces from the text"),
        (SPECIAL + field(2, TRAINING) + field(3, SPACES + field(5, 0)), "does not escape spaces"),
        (WHOLE + piece("a", Kind.UNUSED), "has unused pieces"),
        (
            SPECIAL + piece("a", Kind.USER_DEFINED) + field(2, TRAINING) + field(3, field(4, 0)),
            "adds a space in front and has user-defined pieces",
        ),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, problem: str) -> None:
    assert problem_of(tmp_path / "tokenizer.model", content).startswith(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (field(2, TRAINING), "it has no pieces"),
        (WHOLE + piece("<s>"), "two pieces have the same text"),
        (WHOLE + piece("a", Kind.UNKNOWN), "it does not have exactly one unknown piece"),
        (piece("a") + field(2, TRAINING), "it does not have exactly one unknown piece"),
        (SPECIAL + field(2, TRAINING + field(42, 2**64 - 1)), "it has no pieces for the begin and the end of a text"),
        (SPECIAL + field(2, TRAINING + field(35, 1)), "the byte vocabulary is incomplete"),
        (WHOLE + piece("a" * (LONGEST_PIECE + 1)), "a piece has 513 characters"),
        (WHOLE + piece(""), "a piece has 0 characters"),
        (WHOLE + piece("a", score=float("nan")), "the score of 'a' is nan"),
        (WHOLE + field(1, field(1, b"\xff")), "'utf-8' codec"),
        (WHOLE + field(1, field(1, b"a") + field(3, 77)), "77 is not a valid Kind"),
        (WHOLE + field(1, field(1, 5)), "field 1 is not text"),
        (WHOLE + field(1, field(1, b"a") + field(2, b"12345")), "field 2 is not a number"),
        (WHOLE + field(1, field(1, b"a") + field(3, b"b")), "field 3 is not an integer"),
        (WHOLE + varint(1 << 3 | 2) + varint(2**60), "it ends in the middle of a field"),
        (WHOLE + varint(1 << 3 | 3), "it ends in the middle of a field"),
        (WHOLE + b"\xff" * 20, "it ends in the middle of a number"),
        (WHOLE + b"\x80", "it ends in the middle of a number"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it ends in the middle of a field"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, problem: str) -> None:
    found = problem_of(tmp_path / "tokenizer.model", content)
    assert found.startswith(f"is damaged or not a sentencepiece model: {problem}")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(
        RecordError, match=r"tokenizer.model: has 16777217 bytes, more than any tokenizer needs\n  fix: "
    ):
        SentencePieces.read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        SentencePieces.read(tmp_path)


@given(cut=st.integers(0, len(REAL) - 1))
def test_every_file_that_is_cut_short_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "tokenizer.model"
    with pytest.raises(RecordError):
        read(path, REAL[:cut])


@given(st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(REAL)
    for place, byte in changes:
        content[place] = byte
    try:
        vocabulary = read(tmp_path_factory.mktemp("changed") / "tokenizer.model", bytes(content))
    except RecordError:
        return
    vocabulary.merges({piece.text for piece in vocabulary.pieces})
