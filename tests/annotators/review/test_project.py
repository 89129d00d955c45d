"""What Label Studio is sent and what it says, without a server: the page, the tasks, annotations of every kind."""

import socket
import threading
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from refsav.annotators.review.label_studio import TOKEN_VARIABLE, LabelStudio, LabelStudioError
from refsav.annotators.review.project import ASKED, label_config, push
from refsav.annotators.review.pull import answers_of, pull
from refsav.annotators.review.queue import write_queue
from refsav.datasets.records import ObjectKey
from refsav.datasets.review.config import ReviewConfig
from refsav.datasets.review.decisions import REASONS, ReviewAnswer, TaskName
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import ConfigError, RecordError

TEXT = "A red box."
NAME = TaskName.of(ObjectKey("sav_000001", "manual", 0), TEXT)


def exported(*annotations, task=str(NAME), text=TEXT):
    return {"id": 5, "data": {"task": task, "text": text, "film": "<video>"}, "annotations": list(annotations)}


def annotation(verdict="accept", *, who=1, cancelled=False, **texts):
    result = [{"from_name": "verdict", "value": {"choices": [verdict]}, "type": "choices"}]
    result += [{"from_name": name, "value": {"text": text}, "type": "textarea"} for name, text in texts.items()]
    return {
        "completed_by": who,
        "was_cancelled": cancelled,
        "updated_at": "2026-11-22T03:20:11.408253Z",
        "result": result,
        "lead_time": 1.5,
    }


def test_the_page_is_xml_that_asks_for_everything_an_answer_has():
    page = ElementTree.fromstring(label_config())  # noqa: S314 - our own
    named = {element.get("name") for element in page.iter() if element.get("name")}
    assert {"verdict", "reasons", "long", "short"} <= named
    choices = [element.get("value") for element in page.iter("Choice")]
    assert choices == ["accept", "fix", "reject", *REASONS]
    assert set(ASKED) == {("long", "short"), ("long",), ("short",)}


def test_an_annotation_becomes_an_answer_with_who_and_when():
    (answer,) = answers_of(
        exported(annotation("fix", long=["A blue", "box."], short=["the box"])), {1: "ann@example.org"}
    )
    assert answer == ReviewAnswer(
        task=NAME,
        judgement="fix",
        reasons=(),
        long="A blue box.",
        short="the box",
        annotator="ann@example.org",
        answered_at="2026-11-22T03:20:11.408253+00:00",
    )


def test_one_annotation_that_cannot_be_used_leaves_the_others_of_its_task():
    said = list(answers_of(exported(annotation(who=None), {"result": None}, annotation("reject", who=2)), {2: "bob"}))
    assert [one.judgement for one in said if isinstance(one, ReviewAnswer)] == ["reject"] and len(said) == 3


def test_an_annotation_that_somebody_else_has_changed_says_what_that_one_says():
    (answer,) = answers_of(exported(annotation() | {"updated_by": 2}), {1: "ann", 2: "bob"})
    assert answer.annotator == "bob"


def test_a_skipped_task_is_no_answer_and_one_who_has_left_keeps_a_number():
    said = list(answers_of(exported(annotation(cancelled=True), annotation(who=9)), {1: "ann"}))
    assert [answer.annotator for answer in said] == ["user 9"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            exported(annotation("fix", long=[" "])),
            "task 5 (sav_000001/manual/0), ann: the corrected text is empty; fix:",
        ),
        (exported(annotation("what")), "task 5 (sav_000001/manual/0), ann: has neither a verdict nor"),
        (exported(annotation(), task="../../etc"), "task 5: '../../etc' is not a task of refsav; fix:"),
        ({"id": 5, "data": {"image": "x.jpg"}, "annotations": []}, "task 5: is not a task of refsav; fix:"),
        (exported({"id": 8, "result": 3}), "task 5 (sav_000001/manual/0): annotation 8 is not from the page"),
        (exported(annotation(who=None)), "task 5 (sav_000001/manual/0): the account of the annotator was deleted"),
        (exported(annotation(), text="Other words."), "task 5 (sav_000001/manual/0), ann: the text of the task was"),
    ],
)
def test_what_is_no_answer_is_one_line(answer, problem):
    (line,) = answers_of(answer, {1: "ann"})
    assert isinstance(line, str) and line.startswith(problem) and "\n" not in line


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    write_queue(directory, [])
    return directory


def test_without_a_token_nothing_is_asked(run, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=f"{TOKEN_VARIABLE}: is not set\n  fix: set it to a personal access token"):
        push(run, ReviewConfig())


def test_a_server_that_is_down_is_one_clear_line(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "secret-token")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(LabelStudioError, match=r"does not answer: .*\n  fix: start it \(make label-studio\)") as raised:
        LabelStudio(address)
    assert "secret-token" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 404])
def test_a_server_that_is_not_label_studio_is_an_error(monkeypatch, status):
    class Other(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"[]")

    monkeypatch.setenv(TOKEN_VARIABLE, "secret-token")
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(LabelStudioError, match=f"^{address}: is not a Label Studio server\n  fix: check"):
            LabelStudio(address)


def test_a_run_outside_of_what_label_studio_serves_is_refused_before_anything_is_sent(run, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match=r"is outside .*other, the folder that Label Studio serves"):
        push(run, ReviewConfig(document_root=str(tmp_path / "other")))


def test_a_pull_before_a_push_and_a_damaged_location_are_errors(run):
    with pytest.raises(RecordError, match="send the queue first: refsav review push RUN"):
        pull(run)
    run.review_project.write_text("{}")
    with pytest.raises(RecordError, match=r"label-studio\.json: is damaged\n  fix: delete it and push again"):
        pull(run)
