"""The content of a run, to compare builds of the same source."""

import json
from pathlib import Path

SAME = ("bundles", "expressions", "dropped", "failed", "unreadable", "measures", "splits.parquet", "shards", "exports")


def content(run: Path) -> dict[str, bytes]:
    """Content by name of all files that must not differ."""
    files = [path for name in SAME for path in [run / name, *(run / name).rglob("*")] if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def journalled(runs: list[Path]) -> list[str]:
    """Digests of the replies on disk; a line that a kill cut short is not one."""
    lines = [line for run in runs for path in run.glob("journal/*") for line in path.read_bytes().splitlines(True)]
    return [json.loads(line)["digest"] for line in lines if line.endswith(b"\n")]
