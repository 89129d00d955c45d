"""docs/formats.md, training-data.md and README.md tell the truth: examples run, tables are the schemas."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from refsav.datasets.run.part_schemas import DROPPED, EXPRESSIONS, FAILED, UNREADABLE
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.plan import ShardConfig
from refsav.datasets.shards.splits import SplitConfig, split_by_video
from refsav.datasets.statistics.properties import MEASURES

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs/formats.md").read_text()
OTHERS = "".join((ROOT / name).read_text() for name in ("docs/training-data.md", "README.md"))
EXAMPLES = re.findall(r"```python\n(.*?)```", DOC + OTHERS.replace("runs/mine", "runs/demo"), re.DOTALL)
TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "list of string": pa.list_(pa.string()),
    "list of int64": pa.list_(pa.int64()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, real_expressions, real_videos, write_shards):
    root = tmp_path_factory.mktemp("doc")
    run = RunDirectory(root / "runs/demo")
    write_parts(run, "bundle-000000", expressions=real_expressions, dropped=[], failed=[], unreadable=[])
    videos = {video_id: objects.video for video_id, objects in real_videos.items()}
    write_shards(run, split_by_video(run, SplitConfig()), videos, ShardConfig())
    return root


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: re.findall(r"import (\S+)", example)[-1])
def test_an_example_runs(example, folder, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    exec(compile(example, "docs", "exec"), {})  # noqa: S102 - the example is ours
    assert "sav_000001_head" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind"),
    [("expressions", EXPRESSIONS), ("dropped", DROPPED), ("failed", FAILED), ("unreadable", UNREADABLE)],
)
def test_the_table_is_the_schema(name, kind):
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| ([\w, ]+) \|", DOC, re.MULTILINE)
    told = {column: TYPES[type_name] for column, type_name, places in rows if name in places.split(", ")}
    assert told == {field.name: field.type for field in kind.schema}


def test_the_small_tables_are_named():
    for field in MEASURES.schema:
        assert f"`{field.name}`" in DOC
