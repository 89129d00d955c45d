"""Table 3's properties, each held against tracks whose motion and occlusion are known."""

import numpy as np
import pytest

from refsav.datasets.frames import decode
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.camera_motion import pair_rows
from refsav.datasets.statistics.properties import (
    MeasureConfig,
    VideoMeasures,
    measure_video,
    object_motion,
    occlusion,
    read_measures,
    word_count,
    write_measures,
)

STILL = (2, 2, 12, 12)


def moving(rows, step_px):
    return tuple((step_px * row, 2, step_px * row + 10, 12) for row in range(rows))


def test_words_are_what_white_space_separates():
    assert word_count("  A two-humped camel,\nnext to\ta fence. ") == 7
    assert word_count("") == 0


def test_object_motion_is_span_and_speed_of_the_boxes_centre(make_track):
    still = object_motion(make_track((STILL,) * 5))
    assert (still.span, still.speed) == (0, 0)
    walk = object_motion(make_track(moving(6, 10)))  # size 60x80: the diagonal is 100 px
    assert walk.span == pytest.approx(0.5) and walk.speed == pytest.approx(0.1 * 6)
    back_and_forth = object_motion(make_track(moving(6, 10) + moving(6, 10)[::-1]))
    assert back_and_forth.span == pytest.approx(0.5)


def test_a_gap_is_no_step(make_track):
    gone = object_motion(make_track(((0, 0, 10, 10), None, None, (60, 0, 70, 10))))
    assert gone.span == pytest.approx(0.6) and gone.speed == 0
    assert object_motion(make_track((None, None))).span == 0


@pytest.mark.parametrize(
    ("boxes", "share", "disappearances"),
    [
        ((STILL,) * 10, 0, 0),
        ((STILL,) * 4 + (None,) * 2 + (STILL,) * 4, 0.2, 1),
        ((STILL, None, STILL, None, STILL), 0.4, 2),
        ((None,) * 5 + (STILL,) * 5 + (None,) * 5, 0, 0),  # comes late and leaves: not hidden in between
        ((STILL,) * 4 + ((2, 2, 6, 7),) * 2 + (STILL,) * 4, 0.2, 0),  # 20 of 100 pixels left
        ((STILL,) * 4 + ((2, 2, 8, 8),) * 2 + (STILL,) * 4, 0, 0),  # 36 of 100 pixels left
        (tuple((0, 0, 40 - row, 40 - row) for row in range(38)), 0, 0),  # walks away, covered by nothing
        ((STILL,), 0, 0),
        ((None, None), 0, 0),
    ],
)
def test_occlusion_is_time_hidden_or_collapsed_between_first_and_last_sight(make_track, boxes, share, disappearances):
    measured = occlusion(make_track(boxes))
    assert (measured.share, measured.disappearances) == (pytest.approx(share), disappearances)


def paired_frames(objects):
    step = objects.tracks[0].frame_step
    rows = pair_rows(len(objects.tracks[0].masks), MeasureConfig().frame_pairs)
    return ((index // step, image) for index, image in decode(objects.video.media, [row * step for row in rows]))


def test_the_real_videos_are_distinguished(real_videos):
    speeds = {
        video_id: measure_video(video_id, len(objects.tracks), paired_frames(objects), objects.tracks, MeasureConfig())
        for video_id, objects in real_videos.items()
    }
    large = {video_id for video_id, one in speeds.items() if one.camera_speed >= MeasureConfig().camera_speed}
    assert large == {"sav_000001_head", "vos_000002"}, "handheld, and a pan; the camel's camera only drifts"
    assert 0.02 < speeds["vos_000001"].camera_speed < 0.1
    by_object = {str(track.key): track for objects in real_videos.values() for track in objects.tracks}
    boy, camel = by_object["sav_000001_head/manual/1"], by_object["vos_000001/manual/0"]
    assert object_motion(boy).span > 0.25 > object_motion(camel).span


def test_what_cannot_be_measured_is_noted(make_track):
    white = [(row, np.full((60, 80, 3), 255, dtype=np.uint8)) for row in range(5)]
    blank = measure_video("v1", 1, white, [make_track((STILL,) * 5)], MeasureConfig())
    assert blank.camera_speed is None and "no pair of frames" in blank.note
    assert measure_video("v1", 0, [], [], MeasureConfig()).note == "no object was read"


def test_measures_are_kept_in_parts(tmp_path):
    run = RunDirectory(tmp_path)
    known = VideoMeasures(video_id="v1", objects=1, camera_speed=0.125, pairs=8, note="")
    unknown = VideoMeasures(video_id="v2", objects=1, camera_speed=None, pairs=0, note="no video")
    write_measures(run, "bundle-000000", [unknown, known])
    assert list(read_measures(run)) == [known, unknown]
