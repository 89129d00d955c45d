"""Long lists as text: the items that Python's own reader finds, and a place for what is wrong."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsav.datasets.training_examples.json_list import JsonItems
from refsav.errors import RecordError

VALUES = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
LISTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


@settings(max_examples=40)
@given(items=LISTS, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_items_are_those_of_the_list(tmp_path_factory, items, indent, ascii_only):
    path = tmp_path_factory.mktemp("list") / "list.json"
    path.write_text(json.dumps(items, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    read = JsonItems(path)
    assert [read[number] for number in range(len(read))] == items
    assert all(read.characters(number) >= 2 for number in range(len(read)))


def test_items_that_do_not_belong_are_counted_and_places_stay_those_of_the_file(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"n": 0}, {}, {"n": 2}]))
    read = JsonItems(path, keep=lambda item: "n" in item)
    assert (len(read), read.left_out, read[1], read.place(1)) == (2, 1, {"n": 2}, "[2]")


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ('[{"a": 1},\n {"a": ', "line 2 column 8: is not a JSON list of objects"),
        ('{"a": 1}', r"line 1 column 1: is not a JSON list of objects: expected \["),
        ("[1, 2]", "line 1 column 2: is not a JSON list of objects: expected an object"),
        ("[{} {}]", "line 1 column 5: is not a JSON list of objects: expected , or ]"),
        ("", "line 1 column 1: is not a JSON list"),
    ],
)
def test_a_damaged_list_is_reported_with_its_place(tmp_path, text, reported):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=reported):
        JsonItems(path)


def test_a_list_that_is_missing_or_no_text_is_reported(tmp_path):
    with pytest.raises(RecordError, match=r"list\.json: cannot be read: No such file"):
        JsonItems(tmp_path / "list.json")
    (tmp_path / "list.json").write_bytes(b"[\xff]")
    with pytest.raises(RecordError, match="is not UTF-8"):
        JsonItems(tmp_path / "list.json")
