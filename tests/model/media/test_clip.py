"""A clip gives the same frames in whatever order they are asked for, and says what it cannot open."""

import os
import pickle
import struct
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refsav.datasets.frames import Image, decode, probe
from refsav.errors import RecordError
from refsav.model.input_errors import InputError
from refsav.model.media import clip as clip_module
from refsav.model.media.clip import Clip, as_clip, open_clip
from refsav.model.media.images import ImageLike

COUNT = 40


def write_video(path: Path, *, count: int = COUNT, metadata: dict[str, str] | None = None) -> Path:
    """Frames of 64x48 whose brightness tells their number, with B-frames and a key frame every 12."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream("libx264", rate=12, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * index, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_picture(path: Path, brightness: int, *, size: tuple[int, int] = (8, 6)) -> Path:
    PIL.Image.new("L", size, brightness).save(path)
    return path


def brightness(clip: Clip, indices: Sequence[int]) -> list[int]:
    return [int(frame[0, 0, 0]) for _, frame in clip.frames(indices)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Image]]:
    path = write_video(tmp_path_factory.mktemp("clip") / "video.mp4")
    return path, [frame for _, frame in decode(path, range(COUNT))]


@pytest.fixture
def few_held(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(clip_module, "MAX_BUFFERED_BYTES", 0)
    monkeypatch.setattr(clip_module, "_MIN_BUFFERED_FRAMES", 5)
    return 5


@pytest.mark.usefixtures("few_held")
@given(indices=st.lists(st.integers(0, COUNT - 1), max_size=14))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_come_in_the_requested_order(video: tuple[Path, list[Image]], indices: list[int]) -> None:
    got = list(open_clip(video[0]).frames(iter(indices)))
    assert [index for index, _ in got] == indices
    assert all(np.array_equal(frame, video[1][index]) for index, frame in got)


def test_backwards_is_forwards_reversed_and_holds_few_frames(
    video: tuple[Path, list[Image]], few_held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    living: set[int] = set()
    most = 0

    def counted(path: Path, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        nonlocal most
        for index, frame in decode(path, indices):
            living.add(index)
            weakref.finalize(frame, living.discard, index)
            most = max(most, len(living))
            yield index, frame

    monkeypatch.setattr(clip_module, "decode", counted)
    clip = open_clip(video[0])
    for order in (range(COUNT - 1, -1, -1), range(COUNT)):
        got = [(index, frame.copy()) for index, frame in clip.frames(order)]
        assert [index for index, _ in got] == list(order)
        assert all(np.array_equal(frame, video[1][index]) for index, frame in got)
    assert most <= few_held + 2  # and those in the hands of the two loops


@pytest.mark.usefixtures("few_held")
def test_a_real_video_gives_what_the_data_engine_reads(sav_data: Path) -> None:
    path = sav_data / "sav_000001_head.mp4"
    info, clip = probe(path), open_clip(path)
    assert (clip.count, clip.height, clip.width, clip.rate_hz) == (
        info.frame_count,
        info.height,
        info.width,
        info.rate_hz,
    )
    assert clip.name == "sav_000001_head"
    wanted = [0, 1, 50, 51, 52, 53, 54, 55, 120, 175]
    expected = dict(decode(path, wanted))
    for order in (wanted, wanted[::-1]):
        got = list(clip.frames(order))
        assert [index for index, _ in got] == order
        assert all(np.array_equal(frame, expected[index]) for index, frame in got)


def test_a_display_rotation_is_not_applied(video: tuple[Path, list[Image]], tmp_path: Path) -> None:
    content = bytearray(video[0].read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    assert struct.unpack_from(">9i", content, matrix) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    path = tmp_path / "phone.mp4"
    path.write_bytes(content)
    with av.open(str(path)) as container:
        assert abs(next(container.decode(video=0)).rotation) == 90
    clip = open_clip(path)
    assert (clip.height, clip.width) == (48, 64)
    assert np.array_equal(next(clip.frames([3]))[1], video[1][3])


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    clip = open_clip(write_picture(tmp_path / "dog.park.webp", 7))
    assert (clip.count, clip.height, clip.width, clip.rate_hz, clip.name) == (1, 6, 8, 24.0, "dog.park")
    assert [index for index, _ in clip.frames([0, 0])] == [0, 0]


@pytest.mark.usefixtures("few_held")
def test_an_animated_picture_is_read_backwards_too(tmp_path: Path) -> None:
    images = [PIL.Image.new("L", (8, 6), 20 * i) for i in range(12)]
    images[0].save(tmp_path / "moving.gif", save_all=True, append_images=images[1:], duration=100)
    clip = open_clip(tmp_path / "moving.gif")
    assert (clip.count, clip.rate_hz) == (12, 10.0)
    assert brightness(clip, range(11, -1, -1)) == [20 * i for i in range(11, -1, -1)]


def test_a_folder_is_read_in_natural_order_and_only_its_pictures_count(tmp_path: Path) -> None:
    names = ["img1.png", "img2.JPG", "img10.webp", "img011.jpeg"]
    for place, name in enumerate(names):
        write_picture(tmp_path / name, 50 * place)
    write_picture(tmp_path / ".img0.png", 9)
    write_picture(tmp_path / "img3.bmp", 9)
    (tmp_path / "notes.txt").write_text("the second take")
    (tmp_path / "img4.png").mkdir()
    clip = open_clip(tmp_path)
    assert (clip.count, clip.height, clip.width, clip.rate_hz, clip.name) == (4, 6, 8, 24.0, tmp_path.name)
    assert np.abs(np.subtract(brightness(clip, range(4)), [0, 50, 100, 150])).max() <= 1
    assert brightness(clip, [3, 1]) == brightness(clip, range(4))[3:0:-2]


def test_a_folder_is_named_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "take.2/below").mkdir(parents=True)
    write_picture(tmp_path / "take.2/a.png", 1)
    assert open_clip(tmp_path / "take.2").name == "take.2"
    monkeypatch.chdir(tmp_path / "take.2/below")
    assert open_clip(Path("..")).name == "take.2"
    monkeypatch.chdir(tmp_path / "take.2")
    assert open_clip(Path()).name == "take.2"


def test_frames_keep_their_size_and_the_first_one_counts(tmp_path: Path) -> None:
    sizes = [(8, 6), (5, 9), (1, 1)]
    for place, size in enumerate(sizes):
        write_picture(tmp_path / f"{place}.png", 0, size=size)
    for clip in (open_clip(tmp_path), as_clip([PIL.Image.new("RGB", size) for size in sizes])):
        assert (clip.height, clip.width) == (6, 8)
        assert [frame.shape for _, frame in clip.frames(range(3))] == [(h, w, 3) for w, h in sizes]


def test_a_broken_frame_of_a_folder_is_named(tmp_path: Path) -> None:
    for index in range(3):
        write_picture(tmp_path / f"{index}.png", 0)
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "2.png").unlink()
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    clip = open_clip(tmp_path)
    assert clip.count == 3 and brightness(clip, [0]) == [0]
    with pytest.raises(RecordError, match=r"1\.png: is not a readable image"):
        brightness(clip, [1])
    with pytest.raises(RecordError, match=r"2\.png: cannot be decoded as an image: No such file"):
        brightness(clip, [2])
    (tmp_path / "0.png").write_text("<html>")
    with pytest.raises(RecordError, match=r"0\.png: is not a readable image"):
        open_clip(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.png", b"", "is empty"),
        ("page.png", b"<html>not found</html>", "is text, not an image or a video"),
        ("notes.txt", b"FFmpeg would draw this\n" * 100, "is text"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile video.mp4\n", "is text"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nvideo.mp4\n", "is text"),
        ("umlaut.png", "ä".encode() * 40000, "is text"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00", "is not an image, and as a video it has no size"),
        ("noise.mp4", bytes(range(1, 256)) * 9, "is not an image, and as a video it cannot be opened as a video"),
        ("IMG_0001.HEIC", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "is a HEIF image"),
    ],
)
def test_neither_an_image_nor_a_video_is_an_error(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordError, match=problem) as caught:
        open_clip(path)
    assert caught.value.path == path and caught.value.fix and "\n" not in caught.value.line


def test_paths_without_frames_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is missing"):
        open_clip(tmp_path / "none.mp4")
    with pytest.raises(RecordError, match="cannot be read: File name too long"):
        open_clip(tmp_path / ("long" * 99))
    with pytest.raises(RecordError, match=r"contains no images \(\.jpeg, \.jpg, \.png, \.webp\)"):
        open_clip(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(RecordError, match="is neither a file nor a folder"):
        open_clip(tmp_path / "pipe.mp4")


def test_a_truncated_image_opens_and_fails_when_it_is_read(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(tmp_path / "whole.jpg")
    path = tmp_path / "half.jpg"
    path.write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    with pytest.raises(RecordError, match=r"half\.jpg: cannot be decoded as an image: image file is truncated"):
        list(open_clip(path).frames([0]))


def test_sound_alone_and_a_truncated_video_are_errors(tmp_path: Path, video: tuple[Path, list[Image]]) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.ones((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(RecordError, match="it has no video stream"):
        open_clip(tmp_path / "sound.wav")
    (tmp_path / "cut.mp4").write_bytes(video[0].read_bytes()[:2000])
    with pytest.raises(RecordError, match=r"cut\.mp4: is not an image, and as a video it"):
        open_clip(tmp_path / "cut.mp4")


def test_a_title_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    path = write_video(tmp_path / "old.mp4", count=2, metadata={"title": "Grusse"})
    path.write_bytes(path.read_bytes().replace(b"Grusse", b"Gr\xfc\xdfe\x20"))
    assert [index for index, _ in open_clip(path).frames(range(2))] == [0, 1]


def test_a_colon_in_a_name_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: tuple[Path, list[Image]]
) -> None:
    (tmp_path / "take 1: dog.mp4").write_bytes(video[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    clip = open_clip(Path("take 1: dog.mp4"))
    assert clip.name == "take 1: dog" and len(list(clip.frames([0, 9]))) == 2


def test_a_clip_of_files_can_be_sent_to_another_process(video: tuple[Path, list[Image]]) -> None:
    clip: Clip = pickle.loads(pickle.dumps(open_clip(video[0])))  # noqa: S301 - its own bytes
    assert np.array_equal(next(clip.frames([8]))[1], video[1][8])


@pytest.mark.parametrize("indices", [[COUNT], [-1], [0, 1, 400]])
def test_a_frame_that_is_not_there_is_refused_at_once(video: tuple[Path, list[Image]], indices: list[int]) -> None:
    with pytest.raises(InputError, match=rf"video has no frame {indices[-1]}\n  fix: request frames from 0 to 39"):
        open_clip(video[0]).frames(indices)


def test_frames_in_memory_are_converted_on_request() -> None:
    frames: list[ImageLike] = [np.full((6, 8, 3), 1, np.uint8), PIL.Image.new("L", (8, 6), 2), np.full((6, 8), 2.0)]
    clip = as_clip(frames)
    assert (clip.count, clip.height, clip.width, clip.rate_hz, clip.name) == (3, 6, 8, 24.0, "frames")
    assert brightness(clip, [1, 0, 0]) == [2, 1, 1]
    with pytest.raises(InputError, match="frame 2: contains values from 2 to 2"):
        brightness(clip, [2])


def test_a_clip_and_a_stack_of_frames_are_taken_as_they_are() -> None:
    stack = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 8, 3), np.uint8)
    clip = as_clip(stack)
    assert as_clip(clip) is clip
    assert brightness(clip, [3, 2, 1, 0]) == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([], "there are no frames"),
        ([np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8, 5), np.uint8)], r"frame 1: an array of shape \[6, 8, 5\]"),
        (["a.png"], "frame 0: a str is not an image"),
        ("a.png", "is not a list of frames\n  fix: open a file or a folder with open_clip"),
        (Path("a.png"), "open_clip"),
        (np.zeros((6, 8, 3), np.uint8), "one image is not a list of frames"),
        (PIL.Image.new("L", (8, 6)), "one image is not a list of frames"),
    ],
    ids=["none", "channels", "name", "path", "Path", "array", "image"],
)
def test_what_is_not_a_list_of_frames_is_an_error(frames: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        as_clip(frames)
