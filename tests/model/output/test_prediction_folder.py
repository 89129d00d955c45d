"""A result folder holds what was given to it, frame by frame, and appears whole or not at all."""

import json
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from refsav.datasets import masks as coco
from refsav.datasets.frames import Image, decode, probe
from refsav.datasets.records import Rle
from refsav.datasets.video_writer import exact_rate
from refsav.model.media.clip import as_clip
from refsav.model.output.mask_overlay import draw_masks
from refsav.model.output.prediction_folder import UNFINISHED, PredictionFolder
from refsav.model.output.result_json import InputInfo, TaskAnswer
from tests.support.data.written_outputs import CHAT, SEGMENT, SIZE, files, objects, picture, shown, write


def psnr_db(one: Image, other: Image) -> float:
    return float(cv2.PSNR(one, other))


def test_every_frame_of_the_video_stands_at_its_place(tmp_path: Path) -> None:
    count = 40
    write(tmp_path, count)
    played = [frame for _, frame in decode(tmp_path / "overlay.mp4", range(count))]
    drawn = [
        draw_masks(picture(index), objects(index), SEGMENT.phrases or (), corner="bottom right")
        for index in range(count)
    ]
    assert probe(tmp_path / "overlay.mp4").frame_count == count
    for index, frame in enumerate(played):
        likeness = [psnr_db(frame, other) for other in drawn]
        assert int(np.argmax(likeness)) == index
        assert likeness[index] > 24


def test_real_frames_keep_their_colours(sav_data: Path, tmp_path: Path) -> None:
    media = sav_data / "vos_000002.mp4"
    info = probe(media)
    size = (info.height, info.width)
    none = np.zeros(size, np.bool_)
    with PredictionFolder(
        tmp_path, shown(6, size, info.rate_hz), TaskAnswer(text="", task="t", phrases=("",), settings={})
    ) as out:
        for index, frame in decode(media, range(6)):
            out.add(index, frame, [none])
    for (_, one), (_, other) in zip(decode(media, range(6)), decode(tmp_path / "overlay.mp4", range(6)), strict=True):
        assert psnr_db(one, other) > 33
        assert np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 1.5


def test_browsers_can_play_it(tmp_path: Path) -> None:
    write(tmp_path, 5, (33, 47))
    content = (tmp_path / "overlay.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        assert len(container.streams) == 1
        (stream,) = container.streams.video
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.height, context.width) == (34, 48)
        assert context.colorspace == 6


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 2), (33, 48), (32, 47), (33, 47)])
def test_odd_sides_get_one_pixel_more(tmp_path: Path, size: tuple[int, int]) -> None:
    write(tmp_path, 3, size)
    info = probe(tmp_path / "overlay.mp4")
    assert (info.height, info.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert info.frame_count == 3
    assert cv2.imread(str(tmp_path / "masks/001/00000.png"), cv2.IMREAD_UNCHANGED).shape == size


@pytest.mark.parametrize(
    ("rate_hz", "exact"),
    [
        (24.0, Fraction(24)),
        (24000 / 1001, Fraction(24000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (Fraction(60000, 1001), Fraction(60000, 1001)),
        (29.97, Fraction(2997, 100)),
        (12.5, Fraction(25, 2)),
        (0.1, Fraction(1, 10)),
        (1000.0, Fraction(1000)),
    ],
)
def test_the_frame_rate_is_the_input_s(tmp_path: Path, rate_hz: float | Fraction, exact: Fraction) -> None:
    assert exact_rate(rate_hz) == exact
    write(tmp_path, 6, (16, 16), rate_hz)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        assert container.streams.video[0].average_rate == exact
    assert json.loads((tmp_path / "result.json").read_text())["rate_hz"] == float(rate_hz)


def test_masks_come_back_from_json_and_from_pictures(tmp_path: Path) -> None:
    write(tmp_path, 7)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["height"], result["width"], result["frames"], result["rate_hz"]) == (*SIZE, 7, 24.0)
    assert (result["input"], result["task"], result["text"]) == ("cars.mp4", "segment", "Sure, it is [SEG].")
    assert result["settings"] == {"frames": 5}
    assert [its["phrase"] for its in result["objects"]] == ["the car", "一只狗"]
    for index in range(7):
        for number, (its, mask) in enumerate(zip(result["objects"], objects(index), strict=True), start=1):
            assert its["area_px"][index] == mask.sum()
            rle = its["masks"][index]
            assert (rle is None) == (not mask.any())
            if rle:
                assert np.array_equal(coco.decode(Rle(tuple(rle["size"]), rle["counts"])), mask)
            saved = cv2.imread(str(tmp_path / f"masks/{number:03d}/{index:05d}.png"), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(saved, 255 * mask.astype(np.uint8))
    assert sum(1 for _ in tmp_path.glob("masks/*/*.png")) == 14


def test_an_image_is_kept_without_loss(tmp_path: Path) -> None:
    with PredictionFolder(tmp_path, InputInfo(name="cars.jpg", size=SIZE), SEGMENT) as output:
        output.add(0, picture(1), objects(1))
    assert sorted(files(tmp_path)) == ["masks/001/00000.png", "masks/002/00000.png", "overlay.png", "result.json"]
    saved = cv2.imread(str(tmp_path / "overlay.png"), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(saved, draw_masks(picture(1), objects(1), ("the car", "一只狗")))
    assert json.loads((tmp_path / "result.json").read_text())["rate_hz"] is None


def test_an_answer_without_objects_is_recorded_and_nothing_drawn(tmp_path: Path) -> None:
    with PredictionFolder(tmp_path / "a", shown(9), CHAT):
        pass
    with PredictionFolder(tmp_path / "b", shown(2), CHAT) as output:
        for index in range(2):
            output.add(index, picture(index), [])
    for name in ("a", "b"):
        assert list(files(tmp_path / name)) == ["result.json"]
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["objects"] == []
        assert result["text"] == "A car & a dog."


PHRASES = ("a & b", 'he said "hi"', "two\nlines", "dog 🐶", "x" * 300, "红色的汽车", "back\\slash", "half \ud83d", "")


@pytest.mark.parametrize("phrase", PHRASES)
def test_phrases_and_texts_are_kept_to_the_letter(tmp_path: Path, phrase: str) -> None:
    answer = TaskAnswer(text=phrase, task="segment", phrases=(phrase,), settings={"text": phrase})
    with PredictionFolder(tmp_path, shown(1), answer) as output:
        output.add(0, picture(0), objects(0)[:1])
    result = json.loads((tmp_path / "result.json").read_bytes())
    assert result["text"] == result["settings"]["text"] == result["objects"][0]["phrase"] == phrase


def test_the_number_of_objects_may_come_with_the_first_masks(tmp_path: Path) -> None:
    with PredictionFolder(tmp_path, shown(2), TaskAnswer(text="", task="segment", phrases=None, settings={})) as output:
        output.add(0, picture(0), objects(0))
        output.add(1, picture(1), objects(1))
    result = json.loads((tmp_path / "result.json").read_text())
    assert [its["phrase"] for its in result["objects"]] == ["", ""]


@pytest.mark.parametrize(("size", "tiles"), [((90, 160), (2, 4)), ((160, 90), (1, 8))])
def test_the_strip_shows_the_whole_video(tmp_path: Path, size: tuple[int, int], tiles: tuple[int, int]) -> None:
    write(tmp_path, 30, size)
    sheet = cv2.imread(str(tmp_path / "strip.jpg"), cv2.IMREAD_COLOR_RGB)
    assert sheet.shape[1] == tiles[1] * (size[1] + 4) - 4
    assert sheet.shape[0] > tiles[0] * (size[0] + 4)
    last = sheet[(tiles[0] - 1) * (size[0] + 4) :][: size[0], -size[1] :]
    drawn = draw_masks(picture(29, size), objects(29, size), SEGMENT.phrases or (), legend=False)
    assert psnr_db(last[size[0] // 3 :], drawn[size[0] // 3 :]) > 25


def test_a_short_and_large_video_has_a_strip_as_well(tmp_path: Path) -> None:
    write(tmp_path, 2, (720, 1280))
    sheet = cv2.imread(str(tmp_path / "strip.jpg"))
    assert sheet.shape[1] == 2 * 400 + 4


def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    size = (120, 160)
    write(tmp_path / "warm", 30, size)
    peaks: list[int] = []
    for count in (30, 300):
        tracemalloc.start()
        write(tmp_path / str(count), count, size)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2 * 120 * 160 * 3


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert files(write(tmp_path / "a", 12)) == files(write(tmp_path / "b", 12))


def test_a_new_result_takes_the_place_of_an_old_one_and_leaves_other_files(tmp_path: Path) -> None:
    write(tmp_path, 5)
    (tmp_path / "notes.txt").write_text("mine")
    with PredictionFolder(tmp_path, InputInfo(name="cars.jpg", size=SIZE), SEGMENT) as output:
        output.add(0, picture(0), objects(0))
    expected = ["masks/001/00000.png", "masks/002/00000.png", "notes.txt", "overlay.png", "result.json"]
    assert sorted(files(tmp_path)) == expected
    assert not (tmp_path / UNFINISHED).exists()


def test_a_frame_of_another_size_is_brought_to_that_of_the_others(tmp_path: Path) -> None:
    with PredictionFolder(tmp_path, shown(2), SEGMENT) as output:
        output.add(0, picture(0), objects(0))
        output.add(1, picture(1, (200, 150)), objects(1))
    info = probe(tmp_path / "overlay.mp4")
    assert (info.frame_count, info.height, info.width) == (2, *SIZE)


def test_a_clip_is_described_as_an_image_or_a_video() -> None:
    video, image = as_clip([picture(0), picture(1)]), as_clip([picture(0)])
    assert InputInfo.of(video, "a.mp4") == InputInfo(name="a.mp4", size=SIZE, count=2, rate_hz=24.0)
    assert InputInfo.of(image) == InputInfo(name="frames", size=SIZE)
