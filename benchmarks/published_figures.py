"""Reads published.toml: scores that others have published, with their sources."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """Scores of one model on one suite, from one table."""

    model: str
    source: str
    """Paper and table."""
    notes: tuple[str, ...]
    """Title of the paper, and remarks about the table."""
    figures: Mapping[tuple[str, str], float]
    """Scores by (group, figure), in percent as printed; only those that the table has."""


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    title: str
    seen: str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    source: str
    name: str
    note: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sources: dict[str, _Source]
    tables: tuple[_Table, ...]


def published_rows(suite: str) -> list[PublishedRow]:
    """List the published scores of a suite, in the order of the file."""
    found = []
    for table in _read().tables:
        columns = [tuple(column.split("/")) for column in table.columns]
        source = _read().sources[table.source]
        notes = (f"{source.name}: {source.title}", f"{source.name}, {table.name}: {table.note}")
        for model, values in table.rows.items():
            figures = {
                (group, figure): value
                for (of, group, figure), value in zip(columns, values, strict=True)
                if of == suite and not math.isnan(value)
            }
            if figures:
                found.append(
                    PublishedRow(model=model, source=f"{source.name}, {table.name}", notes=notes, figures=figures)
                )
    return found


@cache
def _read() -> _File:
    return _File.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
