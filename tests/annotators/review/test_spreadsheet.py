"""A sheet is exported, filled in by hand and imported; what is wrong in a row is reported with its place."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.review.media import ReviewMedia
from refsav.annotators.review.queue import ReviewTask, read_queue, write_queue
from refsav.annotators.review.spreadsheet import read_sheet, write_sheet
from refsav.datasets.records import ObjectKey
from refsav.datasets.review.answer_log import append_answers
from refsav.datasets.review.decisions import TaskName
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import ConfigError, RecordError

TEXT = 'A "red" box,\u2028which moves; slowly'


def task(place, text=TEXT):
    name = TaskName.of(ObjectKey("sav_000001", "manual", place), text)
    return ReviewTask(name=name, asks=("long", "short"), text=text, media=ReviewMedia(film="a.mp4", strip="a.jpg"))


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    write_queue(directory, [task(2), task(0), task(1)])
    return directory


def rows_of(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def save(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".jsonl":
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(params=[".csv", ".jsonl"])
def sheet(request, run, tmp_path):
    path = tmp_path / f"sheet{request.param}"
    assert write_sheet(run, path) == 3
    return path


def test_the_queue_comes_back_in_order(run):
    assert read_queue(run) == [task(0), task(1), task(2)]


def test_a_filled_in_sheet_gives_answers_and_empty_rows_none(sheet):
    rows = rows_of(sheet)
    rows[0] |= {"verdict": " Accept ", "annotator": "ann", "answered_at": "2026-11-22T10:30+02:00"}
    rows[2] |= {
        "verdict": "fix",
        "corrected_text": "Other\nwords.",
        "reasons": "bad mask; ambiguous",
        "annotator": "bob",
    }
    save(sheet, rows)
    gathered = read_sheet(sheet)
    assert gathered.problems == ()
    first, second = gathered.answers
    assert (first.task, first.judgement, first.annotator) == (task(0).name, "accept", "ann")
    assert first.answered_at == "2026-11-22T08:30:00.000000+00:00"
    assert (second.long, second.reasons, second.answered_at) == ("Other words.", ("ambiguous", "bad mask"), "")


@pytest.mark.parametrize(
    ("filled", "problem"),
    [
        ({"verdict": "fix", "annotator": "ann"}, ": the corrected text is empty; fix: write it"),
        (
            {"verdict": "perhaps", "annotator": "ann"},
            ": 'perhaps' is not a verdict; fix: write accept, fix or reject",
        ),
        ({"verdict": "accept"}, ": names no annotator; fix: fill in annotator"),
        ({"verdict": "accept", "annotator": "ann", "answered_at": "noon"}, ": 'noon' is not a time"),
        ({"verdict": "accept", "annotator": "ann", "task": "x"}, ": 'x' is not a task of refsav"),
        ({"verdict": "accept", "annotator": "ann", "text": "Mine."}, ": the text in column text was changed"),
    ],
)
def test_an_unusable_row_is_reported_and_the_others_count(sheet, filled, problem):
    rows = rows_of(sheet)
    rows[0] |= {"verdict": "reject", "annotator": "ann"}
    rows[1] |= filled
    save(sheet, rows)
    gathered = read_sheet(sheet)
    assert [answer.task for answer in gathered.answers] == [task(0).name]
    (reported,) = gathered.problems
    line = {".csv": 3, ".jsonl": 2}[sheet.suffix]  # as a spreadsheet and an editor number it
    assert reported.startswith(f"{sheet}:row {line}{problem}") and "\n" not in reported


def test_differing_rows_of_one_annotator_are_reported_and_importing_again_adds_nothing(run, sheet):
    rows = rows_of(sheet)
    rows[0] |= {"verdict": "accept", "annotator": "ann"}
    save(sheet, [*rows, rows[0], rows[0] | {"verdict": "reject"}])
    gathered = read_sheet(sheet)
    assert {answer.judgement for answer in gathered.answers} == {"accept"}
    (reported,) = gathered.problems
    assert "differs from row" in reported and "; fix: keep one of them" in reported
    assert append_answers(run, gathered.answers, "2026-11-22T10:00:00.000000+00:00") == 1
    assert append_answers(run, read_sheet(sheet).answers, "2026-11-22T11:00:00.000000+00:00") == 0


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_sheet_comes_back_as_spreadsheets_of_other_countries_and_systems_write_it(run, tmp_path, delimiter):
    path = tmp_path / "sheet.csv"
    write_sheet(run, path)
    rows = rows_of(path)
    rows[1] |= {"verdict": "Reject", "reasons": "Bad mask;  Wrong  place", "annotator": "ann", "mine": "a column"}
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[1], delimiter=delimiter, lineterminator="\r\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        stream.write(delimiter * len(rows[1]) + "\r\n")
    gathered = read_sheet(path)
    (answer,) = gathered.answers
    assert gathered.problems == () and answer.reasons == ("bad mask", "wrong place")


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "- A red box.", "'+1 box", "@here", "'t is a box"])
def test_no_spreadsheet_takes_an_expression_for_a_formula(tmp_path, text):
    run, path = RunDirectory(tmp_path / "run"), tmp_path / "sheet.csv"
    write_queue(run, [task(0, text)])
    write_sheet(run, path)
    rows = rows_of(path)
    assert rows[0]["text"][0] not in "=+-@"
    rows[0] |= {"verdict": "accept", "annotator": "ann"}
    save(path, rows)
    (answer,) = read_sheet(path).answers
    assert answer.task == task(0, text).name


def test_a_sheet_that_is_there_is_not_written_over(run, sheet):
    with pytest.raises(ConfigError, match="exists and may contain answers"):
        write_sheet(run, sheet)


def test_a_sheet_lacks_a_column_or_is_none(tmp_path, sheet):
    rows = rows_of(sheet)
    save(sheet, [{name: value for name, value in row.items() if name != "annotator"} for row in rows])
    with pytest.raises(RecordError, match=r"row [12]: has no annotator"):
        read_sheet(sheet)
    (tmp_path / "other.xlsx").write_bytes(b"PK")
    with pytest.raises(ConfigError, match="give a file that ends in"):
        read_sheet(tmp_path / "other.xlsx")
    sheet.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="is not UTF-8"):
        read_sheet(sheet)


@given(st.text(min_size=1).filter(lambda text: "\r" not in text and "\0" not in text))
def test_any_text_survives_both_formats(tmp_path_factory, text):
    text = text.encode("utf-8", "replace").decode()
    folder = tmp_path_factory.mktemp("sheet")
    run = RunDirectory(folder)
    write_queue(run, [task(0, text)])
    for name in ("sheet.csv", "sheet.jsonl"):
        write_sheet(run, folder / name)
        rows = rows_of(folder / name)
        rows[0] |= {"verdict": "accept", "annotator": "ann"}
        save(folder / name, rows)
        (answer,) = read_sheet(folder / name).answers
        assert answer.task == task(0, text).name


def test_a_damaged_queue_is_named(run):
    run.queue.write_text(run.queue.read_text() + "{}\n")
    with pytest.raises(RecordError, match=r"queue\.jsonl:line 4: is damaged\n  fix: write the queue"):
        read_queue(run)
