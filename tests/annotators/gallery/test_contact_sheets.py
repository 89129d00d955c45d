"""What a page without the gallery shows: the newest objects, one a video, small, and nothing where nothing is drawn."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts
from refsav.annotators.bundles.plan import extend_plan, read_plan
from refsav.annotators.gallery.bundle_pages import ReportConfig, pictured_each, write_bundle
from refsav.annotators.gallery.contact_sheets import LONGEST_SIDE_PX, STILLS, newest_sheets
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.flows.reporting.progress_bars import Silent

CONFIG = AnnotationConfig.from_mapping({"views": {"longest_side_px": 320}}, "test")
REPORT = ReportConfig(preview=False)


@pytest.fixture
def drawn(tmp_path: Path) -> RunDirectory:
    """Three videos in three bundles."""
    source, run = tmp_path / "source", RunDirectory(tmp_path / "run")
    list(write_scenes(source, SynthConfig(videos=3, height=240, width=320, frames=32)))
    list(extend_plan(run, source, discover(source, SourceConfig()), 1))
    for bundle in read_plan(run, source):
        annotate_to_parts(run, source, bundle.name, CONFIG, Silent())
        write_bundle(run, bundle, CONFIG.views, CONFIG.source, REPORT, pictured_each(run, REPORT))
    return run


def test_the_newest_come_first_one_of_a_video_and_small(drawn: RunDirectory) -> None:
    strips = newest_sheets(drawn, 2)
    assert [strip.name.split()[0][-1] for strip in strips] == ["2", "1"]
    assert all(strip.text for strip in strips)
    picture = cv2.imdecode(np.frombuffer(strips[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (LONGEST_SIDE_PX * 3 // 4, STILLS * LONGEST_SIDE_PX, 3)
    assert len(strips[0].jpeg) < 60_000


def test_what_is_not_drawn_or_damaged_is_left_out(drawn: RunDirectory) -> None:
    assert len(newest_sheets(drawn, 9)) == 3
    (drawn.report / "data/bundle-000002.js").write_text("cut off")
    shutil.rmtree(drawn.report / "media" / newest_sheets(drawn, 1)[0].name.split()[0])
    assert len(newest_sheets(drawn, 9)) == 1
    shutil.rmtree(drawn.report)
    assert newest_sheets(drawn, 9) == []
