"""Structured logs: a line is JSON and says what it is about, and a bundle's file holds that bundle alone."""

import json
from pathlib import Path

from refsav.logs import LOGGER, json_lines


def test_a_line_is_json_and_says_what_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "logs/bundle-000000.jsonl"
    about = {"run": "mine", "bundle": "bundle-000000"}
    with json_lines(path, "bundle-000000"), json_lines(tmp_path / "other.jsonl", "bundle-000001"):
        LOGGER.warning("failed at %s: %s", "scene", 'no "reply"\n', extra={**about, "video": "v", "object": "manual 3"})
        LOGGER.info("done", extra={**about, "bundle": "bundle-000001"})
    LOGGER.warning("after", extra=about)
    (line,) = path.read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        **about,
        "level": "warning",
        "video": "v",
        "object": "manual 3",
        "message": 'failed at scene: no "reply"\n',
    }
    assert json.loads((tmp_path / "other.jsonl").read_text())["message"] == "done"
