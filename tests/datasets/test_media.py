"""Outputs stay valid until the media's size changes."""

from pathlib import Path

import pytest

from refsav.datasets.media import GONE, media_size, media_unchanged


def test_a_file_and_a_folder_of_frames_have_the_size_of_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "00000.jpg").write_bytes(b"12345")
    (tmp_path / "00001.jpg").write_bytes(b"123")
    assert media_size(tmp_path / "00000.jpg") == 5
    assert media_size(tmp_path) == 8


def test_what_is_missing_and_the_empty_folder_of_a_lost_mount_are_gone(tmp_path: Path) -> None:
    assert media_size(tmp_path / "none.mp4") == GONE
    assert media_size(tmp_path) == GONE


@pytest.mark.parametrize(
    ("then", "now", "stays"),
    [
        ({"a": 5, "b": 7}, {"a": 5, "b": 7}, True),
        ({"a": 5, "b": 7}, {"a": GONE, "b": 7}, True),
        ({"a": 5, "b": 7}, {"a": GONE, "b": 8}, False),
        ({"a": GONE}, {"a": GONE}, True),
        ({"a": GONE}, {"a": 5}, False),
        ({"a": 5}, {"a": 5, "b": 7}, False),
        ({"a": 5, "b": 7}, {"a": 5}, False),
    ],
)
def test_only_media_of_another_size_asks_for_new_work(then: dict[str, int], now: dict[str, int], stays: bool) -> None:
    assert media_unchanged(then, now) is stays
