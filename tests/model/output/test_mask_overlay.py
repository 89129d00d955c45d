"""What is drawn tells the objects apart, hides none of them and is right at every size."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from refsav.datasets.frames import Image, decode
from refsav.datasets.masks import Mask
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import VideoFile
from refsav.datasets.sav.source import SourceConfig, read_video
from refsav.model.output import legend as legends
from refsav.model.output.mask_overlay import FILL_OPACITY, draw_masks, free_corner
from refsav.model.output.palette import DISTINCT_COLOURS, Rgb, colours

GREY = 128


def canvas(height: int, width: int, shade: int = GREY) -> Image:
    return np.full((height, width, 3), shade, np.uint8)


def box(size: tuple[int, int], y: int, x: int, height: int, width: int) -> Mask:
    mask = np.zeros(size, np.bool_)
    mask[y : y + height, x : x + width] = True
    return mask


def count_of(picture: Image, colour: Rgb, tolerance: int = 2) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance).sum())


def test_an_object_is_tinted_outlined_and_nothing_else_is_changed() -> None:
    frame, mask = canvas(200, 300), box((200, 300), 60, 100, 80, 90)
    before = frame.copy()
    drawn = draw_masks(frame, [mask], [""])
    assert np.array_equal(frame, before)
    tint = np.rint(GREY + FILL_OPACITY * (np.array(DISTINCT_COLOURS[0]) - GREY))
    assert np.abs(drawn[mask].astype(int) - tint).max() <= 1, "no pixel of the object is hidden by its outline"
    assert np.abs(drawn[100, 99].astype(int) - DISTINCT_COLOURS[0]).max() <= 2
    assert np.array_equal(drawn[:50], before[:50])
    assert np.array_equal(drawn[:, :90], before[:, :90])


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("size", [(120, 200), (1080, 1920)])
def test_an_object_of_one_pixel_can_be_seen(size: tuple[int, int], shade: int) -> None:
    mask = box(size, 50, 60, 1, 1)
    drawn = draw_masks(canvas(*size, shade), [mask], [""])
    changed = np.abs(drawn.astype(int) - shade).max(axis=2) > 40
    assert np.ptp(np.nonzero(changed)[0]) >= 4
    assert np.ptp(np.nonzero(changed)[1]) >= 4


def test_an_outline_in_the_background_s_colour_has_a_dark_seam() -> None:
    frame = np.empty((200, 300, 3), np.uint8)
    frame[:] = DISTINCT_COLOURS[0]
    drawn = draw_masks(frame, [box((200, 300), 60, 100, 80, 90)], [""])
    assert drawn[100, 90:100].sum(axis=1).min() < 0.7 * sum(DISTINCT_COLOURS[0])


def test_where_objects_overlap_their_colours_take_turns() -> None:
    size = (400, 600)
    masks = [box(size, 50, 50, 300, 300), box(size, 100, 150, 280, 400), box(size, 150, 100, 100, 300)]
    drawn = draw_masks(canvas(*size), masks, ["", "", ""], legend=False)
    overlap = drawn[255:345, 155:345]
    tints = [np.rint(GREY + FILL_OPACITY * (np.array(colour) - GREY)) for colour in DISTINCT_COLOURS[:2]]
    shares = [float((np.abs(overlap - tint).max(axis=2) <= 1).mean()) for tint in tints]
    assert sum(shares) > 0.99
    assert min(shares) > 0.4


def test_two_phrases_for_one_object_both_show() -> None:
    mask = box((400, 600), 100, 100, 200, 300)
    drawn = draw_masks(canvas(400, 600), [mask, mask], ["", ""])
    for colour in DISTINCT_COLOURS[:2]:
        assert count_of(drawn[100:300, 100:400], colour) > 80, "each has a disc of its own"


def test_the_smaller_object_s_outline_is_whole() -> None:
    size = (400, 600)
    small, large = box(size, 150, 200, 60, 60), box(size, 100, 100, 200, 300)
    first, last = (
        draw_masks(canvas(*size), [*order], ["", ""], list(palette))
        for order, palette in (
            ((small, large), DISTINCT_COLOURS[:2]),
            ((large, small), DISTINCT_COLOURS[1::-1]),
        )
    )
    assert np.abs(first[180, 199].astype(int) - DISTINCT_COLOURS[0]).max() <= 2
    assert np.abs(last[180, 199].astype(int) - DISTINCT_COLOURS[0]).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (30, 40), (10, 2000), (2000, 10), (112, 200), (333, 517)])
@pytest.mark.parametrize("full", [False, True])
def test_every_size_can_be_drawn_on(size: tuple[int, int], full: bool) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    masks = [np.full(size, full), box(size, 0, 0, 1, 1), box(size, size[0] - 1, size[1] - 1, 1, 1)]
    drawn = draw_masks(frame, masks, ["all", "红色的汽车", "x" * 300])
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize("phrase", ['Tom & "Jerry\'s"', "two\nlines", "the dog 🐶", "word " * 60, "红色的汽车在左边"])
def test_a_phrase_can_be_read_on_any_background_and_stays_in_its_panel(phrase: str, shade: int) -> None:
    size = (200, 356)
    plain = draw_masks(canvas(*size, shade), [np.zeros(size, np.bool_)], [""])
    drawn = draw_masks(canvas(*size, shade), [np.zeros(size, np.bool_)], [phrase], corner="top right")
    legend = legends.plan((phrase,), size)
    assert legend is not None
    y, x = legends.origin(legend, size, "top right")
    panel = drawn[y : y + legend.size[0], x : x + legend.size[1]].astype(float).mean(axis=2)
    assert np.percentile(panel, 20) < 100, "dark ground"
    outside = np.abs(drawn.astype(int) - plain).max(axis=2)
    outside[y : y + legend.size[0], x : x + legend.size[1]] = 0
    assert outside.max() == 0


def test_the_row_of_an_object_that_is_not_in_the_picture_is_faint() -> None:
    size = (480, 854)
    there = draw_masks(canvas(*size), [box(size, 0, 0, 9, 9)], ["car"], corner="bottom right")
    gone = draw_masks(canvas(*size), [np.zeros(size, np.bool_)], ["car"], corner="bottom right")
    assert there[240:].max() == 255
    assert gone[240:].max() < 200


def test_the_legend_stands_where_it_hides_no_object() -> None:
    size = (480, 854)
    lower, upper = box(size, 300, 0, 180, 500), box(size, 0, 0, 150, 300)
    assert free_corner([box(size, 200, 300, 50, 50)], ["car"]) == "bottom left"
    assert free_corner([lower], ["car"]) == "top left"
    assert free_corner([lower, upper], ["car", "tree"]) == "bottom right"
    assert free_corner([], []) == "bottom left"


def test_no_number_hides_a_small_object_or_another_number() -> None:
    size = (480, 854)
    masks = [box(size, 200 + 12 * place, 400, 4, 4) for place in range(4)]
    drawn = draw_masks(canvas(*size), masks, [""] * 4)
    for mask, colour in zip(masks, DISTINCT_COLOURS, strict=False):
        tint = np.rint(GREY + FILL_OPACITY * (np.array(colour) - GREY))
        assert np.abs(drawn[mask].astype(int) - tint).max() <= 1


@pytest.mark.parametrize(
    ("masks", "phrases"),
    [([np.zeros((9, 9), np.bool_)], []), ([np.zeros((9, 8), np.bool_)], [""]), ([np.zeros((9, 9), np.uint8)], [""])],
)
def test_what_does_not_go_together_is_refused(masks: list[Mask], phrases: list[str]) -> None:
    with pytest.raises(ValueError, match=r"do not match|needs bool \(9, 9\)"):
        draw_masks(canvas(9, 9), masks, phrases)


def test_masks_as_coco_decodes_them_and_frames_of_any_layout_give_the_same_picture() -> None:
    size = (60, 80)
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    mask = box(size, 20, 20, 20, 30)
    assert np.array_equal(
        draw_masks(frame, [mask], ["car"]), draw_masks(np.asfortranarray(frame), [np.asfortranarray(mask)], ["car"])
    )


def test_real_objects_are_all_outlined(sav_data: Path) -> None:
    video = VideoFile(
        video_id="vos_000001", media=sav_data / "vos_000001.mp4",
        annotations=(sav_data / "vos_000001_manual.json",), folder="",
    )  # fmt: skip
    tracks = read_video(video, SourceConfig()).tracks
    masks = [decode_mask(rle) for track in tracks if (rle := track.masks[0])]
    _, frame = next(decode(video.media, [0]))
    drawn = draw_masks(frame, masks, ["the camel in front", "一只骆驼"][: len(masks)])
    for place, mask in enumerate(masks):
        around = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~mask
        assert count_of(drawn[around][None], DISTINCT_COLOURS[place], 40) > 0.5 * around.sum()


MACHADO = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""How linear RGB is seen (Machado, Oliveira and Fernandes 2009, severity 1)."""


def seen(palette: tuple[Rgb, ...], eyes: str) -> npt.NDArray[np.float64]:
    """CIELAB [colours, 3]."""
    shares = np.array(palette) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(MACHADO[eyes]).T, 0, 1)
    again = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(cv2.cvtColor(again[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0], np.float64)


@pytest.mark.parametrize("eyes", MACHADO)
@pytest.mark.parametrize(("count", "least"), [(8, 24), (12, 17)])
def test_colour_blind_eyes_tell_the_colours_apart(eyes: str, count: int, least: float) -> None:
    lab = seen(colours(count), eyes)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    assert apart[~np.eye(count, dtype=bool)].min() > least


def test_more_objects_get_colours_of_their_own_and_keep_them() -> None:
    assert len(set(colours(60))) == 60
    assert colours(60)[:20] == colours(20)
    assert all(0 <= value <= 255 for colour in colours(60) for value in colour)
