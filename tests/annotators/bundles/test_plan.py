"""The plan of bundles: a video keeps its bundle, growth adds bundles, and nothing on disk leads out of the source."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from refsav.annotators.bundles.plan import Bundle, extend_plan, read_bundle, read_plan
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError


def videos(source: Path, names: Sequence[str]) -> list[VideoFile]:
    return [
        VideoFile(
            video_id=name,
            media=source / f"sav_000/{name}.mp4",
            annotations=(source / f"sav_000/{name}_manual.json", source / f"sav_000/{name}_auto.json"),
            folder="sav_000",
        )
        for name in names
    ]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def plan(run: RunDirectory, source: Path, entries: Sequence[VideoFile | Unreadable], size: int = 2) -> list[list[str]]:
    list(extend_plan(run, source, entries, size))
    return ids(list(read_plan(run, source)))


def ids(bundles: Sequence[Bundle]) -> list[list[str]]:
    return [[video.video_id for video in bundle.videos] for bundle in bundles]


def test_videos_are_cut_into_bundles_and_come_back_as_they_were(run: RunDirectory, source: Path) -> None:
    listed = videos(source, ["a", "b", "c"])
    assert plan(run, source, listed) == [["a", "b"], ["c"]]
    bundles = list(read_plan(run, source))
    assert [bundle.name for bundle in bundles] == ["bundle-000000", "bundle-000001"]
    assert [video for bundle in bundles for video in bundle.videos] == listed


def test_growth_adds_bundles_and_moves_no_video(run: RunDirectory, source: Path) -> None:
    plan(run, source, videos(source, ["b", "d", "f"]))
    before = {path.name: path.read_bytes() for path in run.bundles.iterdir()}
    grown = plan(run, source, videos(source, ["a", "b", "c", "d", "e", "f"]), size=5)
    assert grown == [["b", "d"], ["f"], ["a", "c", "e"]]
    assert {path.name: path.read_bytes() for path in run.bundles.iterdir() if path.name in before} == before


def test_the_same_listing_again_changes_nothing(run: RunDirectory, source: Path) -> None:
    listed = videos(source, ["a", "b", "c"])
    assert plan(run, source, listed) == plan(run, source, listed) == [["a", "b"], ["c"]]


def test_a_kill_between_two_bundles_loses_no_video(run: RunDirectory, source: Path) -> None:
    listed = videos(source, ["a", "b", "c", "d", "e"])
    steps = extend_plan(run, source, [*listed[:3], Unreadable(path="x", error="x"), *listed[3:]], 2)
    next(steps)  # one bundle is on disk, "c" waits for the next one, and the process dies here
    del steps
    assert ids(list(read_plan(run, source))) == [["a", "b"]]
    assert plan(run, source, listed) == [["a", "b"], ["c", "d"], ["e"]]


def test_what_could_not_be_listed_is_handed_on(run: RunDirectory, source: Path) -> None:
    lost = Unreadable(path="sav_000/x.mp4", error="sav_000/x.mp4: has no annotations")
    assert list(extend_plan(run, source, [lost, *videos(source, ["a"])], 16)) == [lost]


def test_a_moved_source_is_followed(run: RunDirectory, source: Path, tmp_path: Path) -> None:
    plan(run, source, videos(source, ["a"]))
    elsewhere = tmp_path / "elsewhere"
    assert next(read_plan(run, elsewhere)).videos == tuple(videos(elsewhere, ["a"]))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("media", "../../etc/passwd"),
        ("media", "/etc/passwd"),
        ("annotations", ["sav_000/../../other_manual.json"]),
        ("annotations", ["/etc/a_manual.json"]),
    ],
)
def test_paths_that_lead_out_of_the_source_are_refused(run: RunDirectory, source: Path, key: str, path: object) -> None:
    plan(run, source, videos(source, ["a"]))
    file = run.bundles / "bundle-000000.json"
    content = json.loads(file.read_text())
    content["videos"][0][key] = path
    file.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="a path of a is outside the source"):
        read_bundle(file, source)


def test_a_name_that_is_no_video_id_is_refused(run: RunDirectory, source: Path) -> None:
    plan(run, source, videos(source, ["a"]))
    file = run.bundles / "bundle-000000.json"
    file.write_text(file.read_text().replace('"a"', '"../../a"'))
    with pytest.raises(RecordError, match=r"'\.\./\.\./a' is not a video id"):
        read_bundle(file, source)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"videos": 3}', '{"videos": [{"video_id": "a"}]}', '{"videos": [null]}', "\x00"],
)
def test_a_damaged_bundle_is_named_with_what_to_do(run: RunDirectory, source: Path, content: str) -> None:
    run.bundles.mkdir(parents=True)
    (run.bundles / "bundle-000000.json").write_text(content)
    with pytest.raises(RecordError, match=r"bundle-000000\.json: is damaged: .*\n  fix: remove") as caught:
        list(read_plan(run, source))
    assert "\n" not in caught.value.line
