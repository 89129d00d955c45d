"""What annotators see: a film and a strip with the outline, named after what they are made from."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.annotators.attributes.outline import find_outline
from refsav.annotators.review.media import draw_media
from refsav.datasets.frames import decode
from refsav.datasets.records import VideoFile
from refsav.datasets.review.config import ReviewConfig
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover, read_video
from refsav.errors import RecordError

CONFIG = ReviewConfig(longest_side_px=320, film_seconds=2.0)


@pytest.fixture
def clip(copy_clips, tmp_path) -> VideoObjects:
    folder = copy_clips(tmp_path / "source", "vos_000002")
    (video,) = [one for one in discover(folder, SourceConfig()) if isinstance(one, VideoFile)]
    return read_video(video, SourceConfig())


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_film_and_strip_show_the_outlined_object(clip, tmp_path):
    (track, *_) = clip.tracks
    media = draw_media(clip.video, clip.tracks, tmp_path, CONFIG)[track.key]
    frames = [image for _, image in decode(tmp_path / media.film, range(12))]
    assert len(frames) == 12 and frames[0].shape == (180, 320, 3)
    strip = cv2.cvtColor(cv2.imread(str(tmp_path / media.strip)), cv2.COLOR_BGR2RGB)
    height, width = 90, 160
    assert strip.shape == (2 * height + 4, 4 * width + 12, 3)
    for picture in (frames[0], strip[:height, :width]):
        assert find_outline(np.ascontiguousarray(picture)) is not None


def test_the_same_input_is_not_drawn_again_and_other_masks_get_another_name(clip, tmp_path):
    (track, *_) = clip.tracks
    media = draw_media(clip.video, [track], tmp_path, CONFIG)
    content = files_in(tmp_path / "media")
    stamp = (tmp_path / media[track.key].film).stat().st_mtime_ns
    assert draw_media(clip.video, [track], tmp_path, CONFIG) == media
    assert (tmp_path / media[track.key].film).stat().st_mtime_ns == stamp
    (tmp_path / media[track.key].film).unlink()
    draw_media(clip.video, [track], tmp_path, CONFIG)
    assert files_in(tmp_path / "media") == content
    other = replace(track, masks=(None, *track.masks[1:]))
    assert draw_media(clip.video, [other], tmp_path, CONFIG) != media


def test_of_a_video_that_is_gone_earlier_files_are_shown(clip, tmp_path):
    (track, *_) = clip.tracks
    media = draw_media(clip.video, [track], tmp_path / "review", CONFIG)
    clip.video.media.unlink()
    assert draw_media(clip.video, [track], tmp_path / "review", CONFIG) == media
    with pytest.raises(RecordError, match="is not in the source any more\n  fix: bring it back"):
        draw_media(clip.video, [track], tmp_path / "another", CONFIG)
