"""docs/formats.md lists the columns of the parts as the schemas have them; tests/docs runs the examples."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED, UNREADABLE
from refsav.datasets.statistics.properties import MEASURES

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs/formats.md").read_text()
TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "list of string": pa.list_(pa.string()),
    "list of int64": pa.list_(pa.int64()),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("expressions", EXPRESSIONS), ("dropped", DROPPED), ("failed", FAILED), ("unreadable", UNREADABLE)],
)
def test_the_table_is_the_schema(name, kind):
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| ([\w, ]+) \|", DOC, re.MULTILINE)
    listed = {column: TYPES[type_name] for column, type_name, places in rows if name in places.split(", ")}
    assert listed == {field.name: field.type for field in kind.schema}


def test_the_small_tables_are_named():
    for field in MEASURES.schema:
        assert f"`{field.name}`" in DOC
