"""Marks as the page edits them: clicks add to a text that can be typed as well, and all of them can be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.model.input_errors import InputError
from refsav.model.output.palette import DISTINCT_COLOURS
from refsav.model.sam.point_prompts import Mark
from refsav.model.ui import mark_editor

WHOLE = st.integers(0, 500).map(float)
POINTS = st.tuples(WHOLE, WHOLE)


def test_clicks_become_lines_one_for_each_object() -> None:
    text = mark_editor.with_point("", 1, (12.34, 5), on_object=True, frame=0)
    text = mark_editor.with_point(text, 1, (30, 40), on_object=False, frame=0)
    text = mark_editor.with_point(text, 2, (7, 8), on_object=True, frame=9)
    assert text == "12.3,5 30,40,0\n7,8@9"
    first, second = mark_editor.objects_in(text)
    assert first == [Mark(points=((12.3, 5.0), (30.0, 40.0)), on_object=(True, False))]
    assert second == [Mark(frame=9, points=((7.0, 8.0),), on_object=(True,))]


def test_a_box_has_two_corners_in_any_order_and_takes_the_place_of_the_one_before() -> None:
    text = mark_editor.with_point("", 1, (50, 50), on_object=True, frame=3)
    text = mark_editor.with_box(text, 1, (90, 20), (10, 80), 3)
    assert mark_editor.objects_in(text)[0][0].box == (10.0, 20.0, 90.0, 80.0)
    text = mark_editor.with_box(text, 1, (0, 0), (5, 5), 3)
    assert text == "50,50@3 0,0,5,5@3"
    assert mark_editor.with_box(text, 1, (1, 1), (2, 2), 4) == "50,50@3 0,0,5,5@3 1,1,2,2@4"
    assert mark_editor.with_box("", 1, (1, 1), (2, 2), 0) == "1,1,2,2"


def test_marks_are_taken_back_one_by_one_and_their_object_with_the_last() -> None:
    text = "1,2 3,4\n5,6"
    assert mark_editor.without_last(text, 1) == "1,2\n5,6"
    assert mark_editor.without_last("1,2\n5,6", 1) == "5,6"
    assert mark_editor.without_last(text, 3) == text


def test_an_error_names_the_number_of_the_line() -> None:
    with pytest.raises(InputError, match="object 2: 'there' is neither a point nor a box") as failed:
        mark_editor.objects_in("1,2\n\n there")
    assert "120,80@5" in failed.value.fix


@given(st.lists(st.tuples(st.integers(1, 4), POINTS, st.booleans(), st.integers(0, 9)), max_size=12))
def test_every_click_can_be_read_back(clicks: list[tuple[int, tuple[float, float], bool, int]]) -> None:
    text, objects = "", 0
    for number, at, on, frame in clicks:
        chosen = min(number, objects + 1)  # as the page offers them
        text = mark_editor.with_point(text, chosen, at, on_object=on, frame=frame)
        objects = max(objects, chosen)
    read = mark_editor.objects_in(text)
    assert len(read) == objects
    assert sum(len(mark.points) for marks in read for mark in marks) == len(clicks)


@given(st.lists(st.tuples(POINTS, POINTS, st.integers(0, 3)), min_size=1, max_size=8))
def test_an_object_has_at_most_one_box_in_a_frame(boxes: list[tuple]) -> None:
    text = ""
    for corner, other, frame in boxes:
        text = mark_editor.with_box(text, 1, corner, other, frame)
    (marks,) = mark_editor.objects_in(text)
    assert {mark.frame for mark in marks} == {frame for _, _, frame in boxes}


def test_marks_are_drawn_where_they_are_in_the_colour_of_their_object() -> None:
    objects = mark_editor.objects_in("32,60\n80,60,0 160,240,320,120")
    html = mark_editor.overlay(objects, 0, (240, 320))
    assert html.startswith('<div class="marks" style="--width: 320; --height: 240">')
    blue, orange = (f"--tint: rgb{colour}" for colour in DISTINCT_COLOURS[:2])
    assert f'<i class="dot" style="left: 10.00%; top: 25.00%; {blue}; --ink: #fff">1</i>' in html
    assert f'<i class="dot outside" style="left: 25.00%; top: 25.00%; {orange}; --ink: #0e1014">×</i>' in html
    box = "left: 50.00%; top: 50.00%; width: 50.00%; height: 50.00%"
    assert f'<i class="box" style="{box}; {orange}; --ink: #0e1014"><i class="dot">2</i></i>' in html


def test_marks_of_other_frames_are_not_drawn_and_a_waiting_corner_is() -> None:
    objects = mark_editor.objects_in("100,60@2")
    assert mark_editor.overlay(objects, 1, (240, 320)) == ""
    assert 'class="dot"' in mark_editor.overlay(objects, 2, (240, 320))
    assert '<i class="corner" style="left: 50.00%; top: 50.00%"></i>' in mark_editor.overlay(
        [], 0, (240, 320), (160, 120)
    )
