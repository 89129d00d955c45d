"""The bytes of a JSON stream: what stands around no entry, one entry and several entries."""

import io
import json

import pytest

from refsav.disk.json_stream import JsonArray, JsonLayout, JsonObject

SCRIPT = JsonLayout(end=",\n", empty="\n")


@pytest.mark.parametrize(
    ("entries", "text"),
    [({}, "{}"), ({"a": 1}, '{\n"a": 1\n}'), ({"a": "é", "b": [1]}, '{\n"a": "\\u00e9",\n"b": [1]\n}')],
)
def test_an_object_has_one_entry_a_line_in_ascii(entries, text):
    stream = io.StringIO()
    written = JsonObject(stream)
    for key, value in entries.items():
        written.add(key, value)
    written.close()
    assert stream.getvalue() == text and json.loads(text) == entries


@pytest.mark.parametrize(("entries", "text"), [([], "[\n]"), ([1], "[\n1,\n]"), ([1, 2], "[\n1,\n2,\n]")])
def test_the_layout_says_what_stands_around_the_entries(entries, text):
    stream = io.StringIO()
    written = JsonArray(stream, SCRIPT)
    for value in entries:
        written.append(value)
    written.close()
    assert stream.getvalue() == text


def test_an_array_in_an_object_keeps_the_text_it_is_given():
    def plain(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    stream = io.StringIO()
    outer = JsonObject(stream, JsonLayout("\n  ", ",\n  ", dumps=plain))
    outer.add("name", "é")
    outer.add_key("objects")
    inner = JsonArray(stream, JsonLayout("\n   ", ",\n   ", "\n  "))
    inner.append_text('{"masks": [null]}')
    inner.close()
    outer.close()
    assert stream.getvalue() == '{\n  "name": "é",\n  "objects": [\n   {"masks": [null]}\n  ]\n}'
