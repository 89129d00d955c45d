"""The index of a gallery counts every object once, and its page asks nothing of any network."""

import json
import re
from pathlib import Path

import pytest

from refsav.annotators.gallery.chunk import chunk_path
from refsav.annotators.gallery.index import PAGE, SCRIPTS_AND_STYLE, write_index
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import Assignment, write_splits
from refsav.errors import RecordError
from tests.support.data.made_gallery import REPORT, Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def index_of(run: RunDirectory) -> dict:
    """Read index.js as a browser would: an object literal that also allows a comma at the end of a list."""
    content = (run.report / "data/index.js").read_text()
    literal = content.removeprefix("refsav.index(").removesuffix(");\n")
    return json.loads(re.sub(r",\n\]", "\n]", literal))


def test_the_index_counts_every_object_once_and_follows_it_through_the_stages(made: Made) -> None:
    made.draw()
    write_splits(made.run.splits, {"sav_1": Assignment(video_id="sav_1", split="val", how="list")})
    page = write_index(made.run, "A <run> & more", REPORT)
    index = index_of(made.run)
    assert index["counts"] == {"kept": 2, "dropped": 2, "failed": 1}
    assert [(stage["in"], stage["dropped"], stage["failed"]) for stage in index["stages"]] == [
        (5, 0, 1),
        (4, 1, 0),
        (3, 0, 0),
        (3, 0, 0),
        (3, 1, 0),
        (2, 0, 0),
        (2, 0, 0),
    ]
    assert [(video["id"], video["split"], len(video["objects"])) for video in index["videos"]] == [
        ("sav_1", "val", 2),
        ("sav_2", "", 3),
    ]
    assert {(why["stage"], why["why"]) for why in index["whys"]} == {
        ("judge", "the two descriptions contradict each other"),
        ("filter", "never visible"),
        ("source", "mask is cut short"),
    }
    assert index["unreadable"] == {"count": 1, "entries": [["x.mp4", "no masks"]]}
    assert "<title>A &lt;run&gt; &amp; more" in page.read_text()
    assert sorted(path.name for path in made.run.report.iterdir() if path.is_file()) == sorted(
        [*SCRIPTS_AND_STYLE, "index.html"]
    )


def test_an_index_of_the_same_run_has_the_same_bytes(made: Made) -> None:
    made.draw()
    first = {path.name: path.read_bytes() for path in write_index(made.run, "Run", REPORT).parent.glob("**/*.js")}
    again = {path.name: path.read_bytes() for path in write_index(made.run, "Run", REPORT).parent.glob("**/*.js")}
    assert first == again
    assert "search-0000.js" in first


def test_a_run_without_any_bundle_still_gets_a_page(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_index(run, "Empty", REPORT)
    assert index_of(run)["counts"] == {"kept": 0, "dropped": 0, "failed": 0}


@pytest.mark.parametrize("lost", [3, 40])
def test_a_damaged_chunk_is_named_with_the_fix(made: Made, lost: int) -> None:
    made.draw()
    chunk = chunk_path(made.run, made.bundle.name)
    chunk.write_text(chunk.read_text()[:-lost])
    with pytest.raises(RecordError, match=r"bundle-000000\.js: is damaged.*\n.*refsav report"):
        write_index(made.run, "Run", REPORT)


def test_the_page_asks_nothing_of_any_network_and_makes_no_markup_of_data() -> None:
    for path in sorted(PAGE.iterdir()):
        content = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", content), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", content), path
