"""Parquet schema of a suite's rows: one column per field of a record."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar, get_origin, get_type_hints

import pyarrow as pa

from refsav.datasets.run.part_schemas import PartKind, schema, text

Row = TypeVar("Row")

TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def row_kind(record: type[Row]) -> PartKind[Row]:
    """Derive the schema of a dataclass whose fields are numbers, strings or tuples of strings.

    A field `number`, the position of the row within its item, is required: parts are sorted by it.
    """
    hints = get_type_hints(record)
    columns = [
        (name, pa.list_(pa.string()) if get_origin(kind) is tuple else TYPES[kind]) for name, kind in hints.items()
    ]
    return PartKind(schema(*columns), _to_row, partial(_from_row, record), ("number",))


def _to_row(record: Any) -> dict[str, object]:  # noqa: ANN401 - any record
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def _from_row(record: type[Row], row: Mapping[str, Any]) -> Row:
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return text(value) if isinstance(value, str) else value
