"""Each referring video set is read as published; errors name what is missing or wrong in a folder."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refsav.datasets.external.referring_videos import ExpressionVideo, ReferringExpression
from refsav.datasets.external.video_layouts import ExpressionSet, open_expressions
from refsav.datasets.masks import decode
from refsav.errors import ConfigError, RecordError
from tests.support.data import expression_sets as made


def pixels(expression: ReferringExpression) -> np.ndarray:
    blank = np.zeros((made.HEIGHT, made.WIDTH), np.bool_)
    return np.stack([blank if mask is None else decode(mask) for mask in expression.truth])


def by_id(folder: Path, name: ExpressionSet, split: str) -> dict[str, ExpressionVideo]:
    return {video.video_id: video for video in open_expressions(name, folder, split)}


@pytest.mark.parametrize(
    ("name", "split", "write", "prefix", "kinds"),
    [
        ("ref-sav", "valid", made.write_ref_sav, "", ["long", "short", "long"]),
        ("mevis", "valid_u", made.write_mevis, "", ["", "", ""]),
        ("revos", "valid", made.write_revos, "UVO/all/", ["referring", "reasoning", "referring"]),
    ],
)
def test_sets_with_numbered_masks(
    tmp_path: Path, name: ExpressionSet, split: str, write: Callable[[Path], Path], prefix: str, kinds: list[str]
) -> None:
    videos = by_id(write(tmp_path / "set"), name, split)
    assert set(videos) == {prefix + video for video in made.VIDEOS}
    for video_id, video in videos.items():
        assert [one.kind for one in video.expressions] == kinds
        assert [one.exp_id for one in video.expressions] == ["0", "1", "2"]
        assert [path.stem for path in video.frames] == list(made.NAMES)
        assert all(path.is_file() for path in video.frames)
        assert video.size == (made.HEIGHT, made.WIDTH)
        for one, objects in zip(video.expressions, [("1",), ("2",), ("1", "2")], strict=True):
            assert (pixels(one) == made.truth(video_id.removeprefix(prefix), *objects)).all()
        assert video.expressions[1].text == "what is blue?"
        assert video.expressions[2].object_ids == ("0", "1")


@pytest.mark.parametrize("table", [True, False], ids=["pickle", "PNG"])
@pytest.mark.parametrize(
    ("name", "split", "write", "kinds"),
    [
        ("ref-youtube-vos", "train", made.write_ref_youtube_vos, ["", ""]),
        ("ref-davis17", "valid", made.write_ref_davis17, [f"annotator {number}" for number in range(1, 5)]),
    ],
)
def test_sets_in_the_layout_of_ref_youtube_vos(
    tmp_path: Path, name: ExpressionSet, split: str, write: Callable[..., Path], kinds: list[str], table: bool
) -> None:
    videos = by_id(write(tmp_path, table=table), name, split)
    for video_id, video in videos.items():
        assert [one.kind for one in video.expressions] == [*kinds, *kinds]
        for one in video.expressions:
            (number,) = one.object_ids
            assert one.text.endswith(number)
            assert (pixels(one) == made.truth(video_id, number)).all()


def test_what_no_annotator_of_davis_was_sure_of_is_kept_apart(tmp_path: Path) -> None:
    folder = made.write_ref_davis17(tmp_path, table=False)
    path = folder / "valid/Annotations/a_first/00010.png"
    numbers = np.array(Image.open(path))
    numbers[:3] = 255
    picture = Image.fromarray(numbers, mode="P")
    picture.putpalette([0, 0, 0, 236, 95, 103] * 128)  # of 256 colours: numbers keep their eight bits
    picture.save(path)
    videos = by_id(folder, "ref-davis17", "valid")
    assert videos["b_second"].void is None
    assert [mask is not None for mask in videos["a_first"].void] == [False, False, True, False, False, False]
    assert decode(videos["a_first"].void[2])[:3].all()


def test_what_only_test_servers_know_is_none_and_test_videos_are_left_out(tmp_path: Path) -> None:
    mevis = by_id(made.write_mevis(tmp_path / "mevis"), "mevis", "valid")
    assert {one.truth for video in mevis.values() for one in video.expressions} == {None}
    assert {video.size for video in mevis.values()} == {None}
    youtube = by_id(made.write_ref_youtube_vos(tmp_path / "rvos"), "ref-youtube-vos", "valid")
    assert list(youtube) == ["b_second"]
    assert {one.truth for one in youtube["b_second"].expressions} == {None}


def test_frames_are_sorted_and_their_masks_go_with_them(tmp_path: Path) -> None:
    folder = made.write_ref_sav(tmp_path)

    def turn(content: Any) -> None:
        content["videos"]["a_first"]["frames"].reverse()

    made.change_json(folder / "meta_expressions_valid.json", turn)
    video = by_id(folder, "ref-sav", "valid")["a_first"]
    assert [path.stem for path in video.frames] == list(made.NAMES)
    assert (pixels(video.expressions[0]) == made.truth("a_first", "1")[::-1]).all()


def test_a_set_may_be_given_by_the_folder_above(tmp_path: Path) -> None:
    made.write_ref_sav(tmp_path / "ref_sav_eval")
    assert len(open_expressions("ref-sav", tmp_path, "valid")) == 2
    made.write_mevis(tmp_path / "mevis")
    assert len(open_expressions("mevis", tmp_path / "mevis/valid_u", "valid_u")) == 2


def test_a_set_names_the_files_that_tell_it(tmp_path: Path) -> None:
    opened = open_expressions("mevis", made.write_mevis(tmp_path), "valid_u")
    assert [path.name for path in opened.files] == ["meta_expressions.json", "mask_dict.json"]
    assert opened.name == "MeViS valid_u"


@pytest.mark.parametrize(
    ("name", "split", "gone", "message"),
    [
        ("ref-sav", "valid", "meta_expressions_valid.json", "meta_expressions_valid.json: is missing, nor in ref_sav_"),
        ("ref-sav", "valid", "mask_dict.json", "mask_dict.json: is missing"),
        ("ref-sav", "valid", "videos", "videos: is missing"),
        ("mevis", "valid_u", "valid_u/mask_dict.json", "mask_dict.json: is missing"),
        ("ref-davis17", "valid", "valid/mask_dict.pkl", "Annotations: is missing, and so is mask_dict.pkl"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, name: ExpressionSet, split: str, gone: str, message: str) -> None:
    write = {"ref-sav": made.write_ref_sav, "mevis": made.write_mevis, "ref-davis17": made.write_ref_davis17}[name]
    folder = write(tmp_path / "set")
    (folder / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match=message):
        open_expressions(name, folder, split)


def test_unknown_sets_and_splits_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mevis \(train, valid_u, valid\)"):
        open_expressions("mevis", tmp_path, "test")
    with pytest.raises(RecordError, match="there is no such folder"):
        open_expressions("mevis", tmp_path / "nowhere", "valid")


def _of_first(key: str, value: object) -> Callable[[Any], None]:
    return lambda content: content["videos"]["b_second"].update({key: value})


def _of_row(value: object) -> Callable[[Any], None]:
    return lambda content: content["0"].__setitem__(2, value)


@pytest.mark.parametrize(
    ("file", "how", "message"),
    [
        ("meta", _of_first("frames", [3.5, None]), r"videos\.b_second\.frames\.1: is not as published"),
        ("meta", _of_first("frames", []), "lists no frame"),
        ("meta", _of_first("frames", ["../../secret"] * made.FRAMES), "is not a path below b_second"),
        ("meta", _of_first("frames", ["00000"]), "has masks of 6 frames, b_second has 1"),
        ("meta", _of_first("expressions", {"0": {"anno_id": [0]}}), r"expressions\.0\.exp: is not as published"),
        ("meta", _of_first("expressions", {"0": {"exp": "x"}}), "has no anno_id, so it has no mask"),
        ("meta", _of_first("expressions", {"0": {"exp": "x", "anno_id": [99]}}), ":99: has no masks"),
        ("masks", _of_row({"size": [48, 64], "counts": "0"}), r"mask_dict\.json:0\[2\]: runs add up to 0 pixels"),
        ("masks", _of_row({"size": [48, 64], "counts": "ab`"}), r"0\[2\]: counts"),
        ("masks", _of_row({"size": [10, 10], "counts": [100]}), "masks of several sizes"),
        ("masks", _of_row("nothing"), "is not a mask with a size"),
    ],
)
def test_a_bad_video_is_reported_and_the_other_is_read(
    tmp_path: Path, file: str, how: Callable[[Any], None], message: str
) -> None:
    folder = made.write_ref_sav(tmp_path / "set")
    made.change_json(folder / {"meta": "meta_expressions_valid.json", "masks": "mask_dict.json"}[file], how)
    opened = open_expressions("ref-sav", folder, "valid")
    with pytest.raises(RecordError, match=message):
        opened.read(opened.ids.index("b_second"))
    assert opened.read(opened.ids.index("a_first")).expressions


def test_a_video_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = made.write_ref_sav(tmp_path / "set")

    def rename(content: Any) -> None:
        content["videos"]["../outside"] = content["videos"].pop("a_first")

    made.change_json(folder / "meta_expressions_valid.json", rename)
    opened = open_expressions("ref-sav", folder, "valid")
    with pytest.raises(RecordError, match=r"'\.\./outside' is not a path below videos"):
        opened.read(opened.ids.index("../outside"))


def test_a_table_that_would_run_code_is_refused(tmp_path: Path) -> None:
    folder = made.write_ref_davis17(tmp_path)
    (folder / "valid/mask_dict.pkl").write_bytes(pickle.dumps({"0": [np.float64(1)]}))
    with pytest.raises(RecordError, match=r"mask_dict\.pkl: holds numpy"):
        open_expressions("ref-davis17", folder, "valid")


def test_colour_images_are_not_read_as_object_numbers(tmp_path: Path) -> None:
    folder = made.write_ref_davis17(tmp_path, table=False)
    Image.new("RGB", (made.WIDTH, made.HEIGHT)).save(folder / "valid/Annotations/a_first/00005.png")
    (folder / "valid/Annotations/b_second/00005.png").unlink()
    opened = open_expressions("ref-davis17", folder, "valid")
    with pytest.raises(RecordError, match=r"00005\.png: has colours \(RGB\)"):
        opened.read(opened.ids.index("a_first"))
    with pytest.raises(RecordError, match=r"00005\.png: is missing"):
        opened.read(opened.ids.index("b_second"))
