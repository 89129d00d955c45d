"""Whatever kind of picture is given, a frame is uint8 RGB, or an error says what is wrong with it."""

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refsav.errors import RecordError
from refsav.model.input_errors import InputError
from refsav.model.media.images import decode_image, image_size, probe_image, to_rgb

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
SIDES = st.integers(1, 6)
ORIENTATION = 0x112


def coloured() -> PIL.Image.Image:
    return PIL.Image.fromarray(COLOURS)


def frame_of(path: Path) -> np.ndarray:
    (_, frame), *further = decode_image(path)
    assert not further
    assert frame.dtype == np.uint8 and frame.flags.c_contiguous and frame.flags.writeable
    return frame


def saved(path: Path, image: PIL.Image.Image, **how: Any) -> Path:
    image.save(path, **how)
    return path


@given(array=arrays.arrays(np.uint8, st.tuples(SIDES, SIDES, st.sampled_from([3, 4]))))
def test_8_bit_colours_are_kept_and_alpha_is_dropped(array: np.ndarray) -> None:
    assert np.array_equal(to_rgb(array), array[:, :, :3])


@given(array=arrays.arrays(np.uint8, st.tuples(SIDES, SIDES)), flat=st.booleans())
def test_grey_becomes_the_same_value_in_all_channels(array: np.ndarray, flat: bool) -> None:
    got = to_rgb(array if flat else array[:, :, None])
    assert got.shape == (*array.shape, 3) and (got == array[:, :, None]).all()


@given(array=arrays.arrays(st.sampled_from(["<u2", ">u2"]), st.tuples(SIDES, SIDES, st.just(3))))
def test_of_16_bits_the_upper_8_count(array: np.ndarray) -> None:
    assert np.array_equal(to_rgb(array), array // 256)


@given(array=arrays.arrays(np.uint8, (3, 4, 3)), kind=st.sampled_from([np.float16, np.float32, np.float64]))
def test_floats_mean_black_to_white_and_are_rounded_to_the_nearest(array: np.ndarray, kind: type) -> None:
    assert np.array_equal(to_rgb((array / 255).astype(kind)), array)


@given(array=arrays.arrays(np.bool_, st.tuples(SIDES, SIDES)))
def test_true_is_white(array: np.ndarray) -> None:
    assert np.array_equal(to_rgb(array)[:, :, 0], np.where(array, 255, 0))


def test_views_with_odd_strides_become_plain_arrays() -> None:
    for view in (COLOURS[::-1], COLOURS[:, ::-1], COLOURS[:, :, ::-1], COLOURS.transpose(1, 0, 2), COLOURS[::2, ::3]):
        got = to_rgb(view)
        assert got.flags.c_contiguous and np.array_equal(got, view)
    assert np.shares_memory(to_rgb(COLOURS), COLOURS)


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"shape \[4, 4, 2\]"),
        (np.zeros((3, 4, 5), np.uint8), r"shape \[3, 4, 5\]"),
        (np.zeros(4, np.uint8), r"shape \[4\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \[2, 4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), "0x4 pixels"),
        (np.zeros((4, 0), np.uint8), "4x0 pixels"),
        (np.zeros((4, 4), np.int64), "of int64"),
        (np.zeros((4, 4), np.uint32), "of uint32"),
        (np.zeros((4, 4), np.complex64), "of complex64"),
        (np.full((4, 4), None), "of object"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), np.inf), "from inf to inf"),
        (np.full((4, 4), 255.0), "from 255 to 255"),
        (np.full((4, 4), -0.5, np.float32), "from -0.5 to -0.5"),
        ([[0, 1], [1, 0]], "a list is not an image"),
        (PIL.Image.new("RGB", (0, 4)), "4x0 pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_an_image_is_an_error_with_a_fix(picture: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        to_rgb(picture)
    assert caught.value.fix and "\n" not in caught.value.line


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_of_8_bits_is_what_pillow_makes_of_it(mode: str) -> None:
    image = PIL.Image.frombytes(mode, (8, 6), bytes(range(256))[: len(PIL.Image.new(mode, (8, 6)).tobytes())])
    assert np.array_equal(to_rgb(image), np.asarray(image.convert("RGB")))
    assert image_size(image) == (6, 8)


def test_nothing_is_painted_behind_a_transparent_pixel(tmp_path: Path) -> None:
    image = PIL.Image.new("RGBA", (2, 1), (200, 100, 50, 0))
    assert frame_of(saved(tmp_path / "clear.png", image))[0, 0].tolist() == [200, 100, 50]


def test_a_palette_with_half_transparent_colours_brings_no_warning(tmp_path: Path) -> None:
    image = coloured().quantize(16)
    path = saved(tmp_path / "palette.png", image, transparency=bytes(range(0, 160, 10)))
    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(frame_of(path), np.asarray(image.convert("RGB")))
    assert warnings.filters == filters


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_files_keep_their_upper_bits(tmp_path: Path, ending: str) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (6, 8), dtype=np.uint16)
    grey = frame_of(saved(tmp_path / f"grey.{ending}", PIL.Image.fromarray(values)))
    assert np.array_equal(grey, np.repeat(values[:, :, None] >> 8, 3, axis=2))


def test_a_16_bit_colour_png_keeps_its_upper_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (6, 8, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "colour.png"), values[:, :, ::-1])
    assert np.array_equal(frame_of(tmp_path / "colour.png"), values >> 8)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.4, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0, 1, 255]], np.int32), [0, 1, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[-10, 0, 10]], np.int32), [0, 128, 255]),
        (np.array([[-3e38, 0, 3e38]], np.float32), [0, 128, 255]),
        (np.array([[0, 2**31 - 1, 1]], np.int32), [0, 255, 0]),
        (np.array([[-7, -7]], np.int32), [0, 0]),
    ],
)
def test_32_bit_pictures_take_the_smallest_usual_range_that_holds_them(
    tmp_path: Path, values: np.ndarray, expected: list[int]
) -> None:
    assert frame_of(saved(tmp_path / "deep.tif", PIL.Image.fromarray(values)))[0, :, 0].tolist() == expected


def test_a_float_picture_with_holes_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "depth.tif", PIL.Image.fromarray(np.array([[0, np.nan]], np.float32)))
    with pytest.raises(RecordError, match=r"depth\.tif: contains NaN or infinite values"):
        frame_of(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_file_comes_upright_and_says_its_upright_size(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    plain = frame_of(saved(tmp_path / f"plain.{ending}", coloured()))
    turned = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1)}
    turned |= {6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}
    path = saved(tmp_path / f"turned.{ending}", coloured(), exif=exif)
    expected = turned.get(orientation, np.asarray)(plain)
    assert np.array_equal(frame_of(path), expected)
    info = probe_image(path)
    assert info is not None and (info.height, info.width) == expected.shape[:2]


def test_an_image_in_memory_keeps_its_size(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    with PIL.Image.open(saved(tmp_path / "phone.jpg", coloured(), exif=exif)) as image:
        assert to_rgb(image).shape == (6, 8, 3) and image_size(image) == (6, 8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM", "JPEG2000", "TGA", "PCX", "ICO"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, kind: str) -> None:
    lossless: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(8, 6)]}}
    content = io.BytesIO()
    image = coloured().quantize(48) if kind == "GIF" else coloured()
    image.save(content, kind, **lossless.get(kind, {}))
    path = tmp_path / ("picture.tga" if kind == "TGA" else "picture.jpg")
    path.write_bytes(content.getvalue())
    assert np.array_equal(frame_of(path), np.asarray(image.convert("RGB")))


def test_pages_and_previews_are_no_frames(tmp_path: Path) -> None:
    for name, kind in (("pages.tif", "TIFF"), ("camera.jpg", "MPO")):
        path = saved(
            tmp_path / name, coloured(), format=kind, save_all=True, append_images=[PIL.Image.new("RGB", (8, 6))]
        )
        info = probe_image(path)
        assert info is not None and (info.frame_count, info.rate_hz) == (1, 24.0)
        assert frame_of(path).any()
        with pytest.raises(RecordError, match="it has no frame 1"):
            list(decode_image(path, [1]))


@pytest.mark.parametrize(("ending", "how"), [("gif", {}), ("png", {}), ("webp", {"lossless": True})])
def test_an_animation_is_a_video_of_its_frames(tmp_path: Path, ending: str, how: dict[str, bool]) -> None:
    images = [PIL.Image.new("RGB", (8, 6), (20 * i, 255 - 20 * i, 0)) for i in range(9)]
    images[4].putpixel((1, 2), (255, 255, 255))
    path = saved(tmp_path / f"moving.{ending}", images[0], save_all=True, append_images=images[1:], duration=40, **how)
    info = probe_image(path)
    assert info is not None and (info.frame_count, info.height, info.width, info.rate_hz) == (9, 6, 8, 25.0)
    got = list(decode_image(path, [7, 4, 0]))
    assert [index for index, _ in got] == [0, 4, 7]
    assert all(np.array_equal(frame, np.asarray(images[index])) for index, frame in got)


def test_frames_of_no_duration_are_shown_as_browsers_do(tmp_path: Path) -> None:
    images = [PIL.Image.new("L", (8, 6), 90 * i) for i in range(2)]
    info = probe_image(saved(tmp_path / "fast.gif", images[0], save_all=True, append_images=images[1:], duration=0))
    assert info is not None and info.rate_hz == 10.0


def test_a_large_picture_brings_no_warning_and_a_huge_one_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "large.png", coloured())
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frame_of(path).shape == (6, 8, 3)
        assert probe_image(path) is not None
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(RecordError, match=r"large\.png: has more than 0 million pixels\n  fix: scale it down"):
        probe_image(path)


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    assert frame_of(saved(tmp_path / "dot.png", PIL.Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000"]),
    share=st.floats(0, 1),
    damage=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_an_image_or_an_error_that_names_it(
    tmp_path: Path, kind: str, share: float, damage: list[tuple[int, int]]
) -> None:
    whole = io.BytesIO()
    coloured().save(whole, kind)
    content = bytearray(whole.getvalue()[: int(share * len(whole.getvalue()))])
    for place, value in damage:
        if place < len(content):
            content[place] = value
    path = tmp_path / "damaged"
    path.write_bytes(content)
    failure: RecordError | None = None
    try:
        info = probe_image(path)
        if info is not None and info.height * info.width < 1e6:
            assert frame_of(path).shape == (info.height, info.width, 3)
    except RecordError as error:
        failure = error
    assert failure is None or (failure.path == path and failure.fix and "\n" not in failure.line)


def test_a_broken_exif_block_does_not_spoil_the_picture(tmp_path: Path) -> None:
    broken = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<H", 9000) + b"\xff" * 20
    path = saved(tmp_path / "odd.jpg", coloured(), exif=broken)
    assert frame_of(path).shape == (6, 8, 3)
