"""The answer log is append-only; answers change shards, exports and counts."""

import json
from dataclasses import replace

import pytest

from refsav.datasets.official.evaluation_export import (
    EVALUATION_FOLDER,
    EXPRESSIONS_FILE,
    MASKS_FILE,
    export_evaluation,
)
from refsav.datasets.review.answer_log import append_answers, read_answers, read_review
from refsav.datasets.review.config import ReviewConfig, read_review_config, write_review_config
from refsav.datasets.review.decisions import ReviewAnswer, TaskName
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.plan import ShardConfig
from refsav.datasets.shards.samples import iterate
from refsav.datasets.shards.splits import SplitConfig, split_by_video
from refsav.datasets.statistics.review_summary import count_review, write_summary
from refsav.errors import ConfigError, RecordError

NOW, LATER = "2026-11-22T10:00:00.000000+00:00", "2026-11-22T11:00:00.000000+00:00"
VIDEOS = {"vos_000001", "vos_000002"}


@pytest.fixture(scope="module")
def files(real_videos):
    return {video_id: objects.video for video_id, objects in real_videos.items()}


@pytest.fixture(scope="module")
def shown(real_expressions):
    """The objects of two real videos: two of the first, one of the second."""
    return [one for one in real_expressions if one.track.video_id in VIDEOS]


@pytest.fixture
def run(tmp_path, shown):
    made = RunDirectory(tmp_path / "run")
    write_parts(made, "bundle-000000", expressions=shown, dropped=[], failed=[], unreadable=[])
    return made


@pytest.fixture
def held_out(run):
    return split_by_video(run, SplitConfig(val_share=1.0))


@pytest.fixture
def say(run, shown):
    """Logs one annotator's answer about one of the objects."""

    def said(place, judgement, who="ann", at=NOW, **texts):
        expression = shown[place]
        texts = {"long": "", "short": ""} | texts
        task = TaskName.of(expression.track.key, expression.text)
        answer = ReviewAnswer(task=task, judgement=judgement, reasons=(), annotator=who, answered_at=at, **texts)
        append_answers(run, [answer], LATER)
        return answer

    return said


def texts_in(run, shards):
    samples = iterate(sorted((run.shards / shards).glob("*.tar")))
    return [(text.text, text.kind, text.status) for sample in samples for one in sample.objects for text in one.texts]


def test_an_answer_is_kept_once_and_the_file_only_grows(run, say):
    first = say(0, "accept")
    content = run.answers.read_bytes()
    assert append_answers(run, [first], LATER) == 0
    assert run.answers.read_bytes() == content
    say(0, "reject", at=LATER)
    assert run.answers.read_bytes().startswith(content)
    assert [answer.judgement for answer in read_answers(run)] == ["accept", "reject"]


def test_an_answer_without_a_time_is_new_only_if_it_says_something_else(run, say):
    first = replace(say(0, "accept"), answered_at="")
    assert append_answers(run, [first], LATER) == 0
    assert append_answers(run, [replace(first, judgement="reject")], LATER) == 1
    assert append_answers(run, [replace(first, judgement="reject")], LATER) == 0
    assert [answer.answered_at for answer in read_answers(run)] == [NOW, LATER]


@pytest.mark.parametrize("damage", [b"{", b'{"task": 1}\n', b"\xff\xfe\n", b"[]\n"])
def test_a_damaged_line_is_named(run, say, damage):
    say(0, "accept")
    run.answers.write_bytes(run.answers.read_bytes() + damage)
    with pytest.raises(RecordError, match=r"answers\.jsonl:line 2: is damaged\n  fix: restore the line"):
        list(read_answers(run))


def test_shards_follow_what_people_say(run, held_out, say, files, write_shards):
    write_shards(run, held_out, files, ShardConfig())
    before = {path: path.read_bytes() for path in run.shards.rglob("*") if path.is_file()}
    assert {status for _, _, status in texts_in(run, "val-long")} == {"candidate"}
    say(0, "accept", short="the first one")
    say(1, "fix", long="Words of a person.")
    count = len(texts_in(run, "val-long"))
    say(2, "reject")
    write_shards(run, held_out, files, ShardConfig())
    reported = texts_in(run, "val-long")
    assert len(reported) == count - 1
    assert ("Words of a person.", "long", "edited") in reported and "accepted" in {status for _, _, status in reported}
    assert texts_in(run, "val-short") == [("the first one", "short", "accepted")]
    assert json.loads((run.shards / "val-short/index.json").read_text())["expressions"] == 1
    run.answers.unlink()
    write_shards(run, held_out, files, ShardConfig())
    assert {path: path.read_bytes() for path in run.shards.rglob("*") if path.is_file()} == before


def test_a_train_video_is_left_as_it_is_whatever_is_said(run, say, files, write_shards):
    train = split_by_video(run, SplitConfig(val_share=0))
    say(0, "reject", short="never mind")
    write_shards(run, train, files, ShardConfig())
    assert {status for _, _, status in texts_in(run, "train")} == {"generated"}
    assert not list(run.shards.glob("val-*/*.tar"))


def test_the_evaluation_export_follows_too_and_a_video_without_expressions_leaves_it(run, held_out, say, files):
    export_evaluation(run, held_out, files)
    folder = run.exports / EVALUATION_FOLDER
    say(2, "reject")
    say(0, "fix", long="Words of a person.", short="the first one")
    report = export_evaluation(run, held_out, files)
    reported = json.loads((folder / EXPRESSIONS_FILE).read_text())["videos"]
    assert set(reported) == {"vos_000001"} and not (folder / "videos/vos_000002").exists()
    entries = [entry for video in reported.values() for entry in video["expressions"].values()]
    assert {(entry["exp"], entry["type_id"]) for entry in entries} > {("Words of a person.", 0), ("the first one", 1)}
    masks = json.loads((folder / MASKS_FILE).read_text())
    assert {str(number) for entry in entries for number in entry["anno_id"]} == set(masks)
    assert (report.videos, report.objects) == (1, 2)


@pytest.mark.usefixtures("held_out")
def test_counts_add_up_and_the_summary_names_what_needs_somebody(run, say, shown, make_track):
    count = len(shown)
    say(0, "accept", short="it")
    say(1, "accept")
    say(1, "reject", "bob")
    counts = count_review(run, count)
    assert (counts.accepted, counts.candidates, counts.contested, counts.short) == (1, 2, 1, 1)
    assert counts.accepted + counts.edited + counts.rejected + counts.candidates == count
    ghost = ReviewAnswer(
        task=TaskName.of(make_track(video_id="gone").key, "x"),
        judgement="accept", reasons=(), long="", short="", annotator="ann", answered_at=NOW,
    )  # fmt: skip
    append_answers(run, [ghost], NOW)
    summary = write_summary(run, count_review(run, count))
    assert summary.gone == ("gone/manual/0",) and len(summary.contested) == 1
    assert summary.agreement.objects == 1
    assert read_review(run).outdated() == []


def test_settings_are_saved_and_overrides_win(run):
    write_review_config(run, ReviewConfig(seed=7, rule="latest"))
    assert read_review_config(run, {"seed": 8}) == ReviewConfig(seed=8, rule="latest")
    with pytest.raises(ConfigError, match="address"):
        read_review_config(run, {"address": "http://me:secret@host"})
