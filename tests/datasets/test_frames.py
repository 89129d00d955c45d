"""Requested frames equal those of a decoding of the complete file."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refsav.datasets.frames import Image, decode, probe
from refsav.errors import RecordError

COUNT = 50


def write_video(path: Path, *, key_every: int, b_frames: int, cut: int = 0) -> None:
    """50 frames whose brightness tells their number; key frames and B-frames as asked.

    The first `cut` of them stay in the file, but its edit list leaves them out, as after a cut without encoding anew.
    """
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"} if cut else {}) as container:
        stream = container.add_stream("libx264", rate=24, options={"g": str(key_every), "bf": str(b_frames)})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(COUNT):
            picture = np.full((48, 64, 3), 5 * index, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            for packet in stream.encode(frame):
                packet.pts, packet.dts = packet.pts - cut, packet.dts - cut
                container.mux(packet)
        for packet in stream.encode():
            packet.pts, packet.dts = packet.pts - cut, packet.dts - cut
            container.mux(packet)


@pytest.fixture(scope="module", params=[(1000, 0), (12, 3), (5, 2)], ids=["one-key", "gop-12-b3", "gop-5-b2"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Image]]:
    path = tmp_path_factory.mktemp("frames") / "video.mp4"
    write_video(path, key_every=request.param[0], b_frames=request.param[1])
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return path, whole


@given(indexes=st.sets(st.integers(0, COUNT - 1), max_size=6))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_choice_of_frames_equals_decoding_everything(video: tuple[Path, list[Image]], indexes: set[int]) -> None:
    path, whole = video
    got = list(decode(path, indexes))
    assert [index for index, _ in got] == sorted(indexes)
    assert all(np.array_equal(frame, whole[index]) for index, frame in got)


def test_the_count_is_known_without_decoding(video: tuple[Path, list[Image]]) -> None:
    info = probe(video[0])
    assert (info.frame_count, info.height, info.width, info.rate_hz) == (COUNT, 48, 64, 24.0)


def test_opencv_sees_the_same_frames_of_a_real_video(sav_data: Path) -> None:
    path = sav_data / "sav_000001_head.mp4"
    capture = cv2.VideoCapture(str(path))
    whole = [capture.read()[1][..., ::-1] for _ in range(probe(path).frame_count)]
    for index, frame in decode(path, [0, 7, 88, 175]):
        assert np.array_equal(frame, whole[index])


def test_frames_that_an_edit_list_leaves_out_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write_video(path, key_every=12, b_frames=2, cut=10)
    capture = cv2.VideoCapture(str(path))
    seen = [capture.read()[1][..., ::-1] for _ in range(COUNT - 10)]
    assert not capture.read()[0]
    assert probe(path).frame_count == COUNT - 10
    for index, frame in decode(path, [0, 1, 5, 20, 39]):
        assert np.array_equal(frame, seen[index])


def test_a_frame_beyond_the_end_is_named(video: tuple[Path, list[Image]]) -> None:
    with pytest.raises(RecordError, match="frame 80: the video ends after 50 frames"):
        list(decode(video[0], [3, 80]))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9])
def test_a_truncated_file_is_reported_in_one_line(tmp_path: Path, share: float) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    write_video(whole, key_every=12, b_frames=2)
    content = whole.read_bytes()
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordError, match=r"cut\.mp4") as caught:
        list(decode(cut, [COUNT - 1]))
    assert "\n" not in caught.value.line


def test_a_file_cut_after_its_index_gives_the_frames_that_are_left(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(COUNT):
            picture = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = whole.read_bytes()
    cut.write_bytes(content[: int(0.6 * len(content))])
    assert [index for index, _ in decode(cut, [0, 11])] == [0, 11]
    with pytest.raises(RecordError, match="frame 49"):
        list(decode(cut, [COUNT - 1]))


def test_missing_media_and_empty_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="the video is missing"):
        probe(tmp_path / "none.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordError, match=r"holds no \.jpg frames"):
        probe(tmp_path / "folder")
    (tmp_path / "text.mp4").write_text("<html>")
    with pytest.raises(RecordError, match="cannot be opened as a video"):
        probe(tmp_path / "text.mp4")
