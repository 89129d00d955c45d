"""A real Label Studio: the queue goes there once, three annotators answer, and the validation set follows."""

import json

import pytest

from refsav.annotators.review.label_studio import LabelStudio
from refsav.annotators.review.project import push
from refsav.annotators.review.pull import pull
from refsav.annotators.review.queue import read_queue
from refsav.datasets.official.evaluation_export import EVALUATION_FOLDER, EXPRESSIONS_FILE
from refsav.datasets.review.answer_log import read_answers
from refsav.datasets.review.decisions import TaskName
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.samples import iterate
from refsav.datasets.statistics.run_statistics import read_statistics
from refsav.flows.review import import_review
from tests.support.label_studio import Person, Server, config_of

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


def texts(run: RunDirectory, shards: str) -> dict[str, tuple[str, str]]:
    """Text and status of every object in a folder of shards."""
    return {
        f"{sample.video_id}/{one.source}/{one.masklet_id}": (text.text, text.status)
        for sample in iterate(sorted((run.shards / shards).glob("*.tar")))
        for one in sample.objects
        for text in one.texts
    }


def everything(run: RunDirectory) -> dict[str, bytes]:
    """All that a review leaves and changes, by name."""
    places = [run.review, run.shards, run.exports]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(run.root)): path.read_bytes() for path in [*files, run.stats]}


def test_what_three_annotators_say_changes_the_validation_set_and_nothing_is_done_twice(
    run: RunDirectory, labelling: Server, people: tuple[Person, Person, Person]
) -> None:
    queue = read_queue(run)
    first = push(run, config_of(labelling))
    assert (first.added, first.there) == (len(queue), 0)
    again = push(run, config_of(labelling))
    assert (again.added, again.there, again.location) == (0, len(queue), first.location)

    ann, bob, eve = people
    tasks = ann.tasks(first.location.project)
    accepted, edited, rejected, contested = (str(task.name) for task in queue[:4])
    for person in people:
        person.annotate(tasks[accepted], "accept", short="the one on the left" if person is not eve else "it")
    ann.annotate(tasks[edited], "fix", long="Words that Ann has found.", reasons=("wrong place",))
    bob.annotate(tasks[edited], "fix", long="Words that Bob has found.")
    eve.annotate(tasks[edited], "accept")
    ann.annotate(tasks[rejected], "reject", reasons=("wrong object",))
    bob.annotate(tasks[rejected], "reject")
    eve.annotate(tasks[rejected], "accept")
    ann.annotate(tasks[contested], "accept")
    bob.annotate(tasks[contested], "reject")

    before = texts(run, "val-long")
    imported = import_review(run.root)
    names = [str(TaskName.parse(task).key) for task in (accepted, edited, rejected, contested)]
    shown = texts(run, "val-long")
    assert shown.pop(names[0]) == (before[names[0]][0], "accepted")
    assert shown.pop(names[1]) == ("Words that Bob has found.", "edited")
    assert names[2] not in shown
    assert {status for _, status in shown.values()} == {"candidate"}
    assert texts(run, "val-short") == {names[0]: ("the one on the left", "accepted")}
    assert imported.added == 11 and imported.summary.contested == (names[3],)
    assert imported.summary.agreement.annotators == 3 and imported.summary.agreement.measure == "fleiss"
    counts = read_statistics(run).review
    assert (counts.accepted, counts.edited, counts.rejected, counts.contested, counts.short) == (1, 1, 1, 1, 1)
    assert counts.candidates == len(queue) - 3
    reported = json.loads((run.exports / EVALUATION_FOLDER / EXPRESSIONS_FILE).read_text())["videos"].values()
    exported = [entry for video in reported for entry in video["expressions"].values()]
    assert sorted(entry["type_id"] for entry in exported) == [0] * (len(queue) - 1) + [1]
    assert {answer.annotator for answer in read_answers(run)} == {person.email for person in people}

    kept = everything(run)
    assert import_review(run.root).added == 0
    assert push(run, config_of(labelling)).added == 0
    assert everything(run) == kept


def test_a_changed_mind_takes_the_place_of_the_first_answer_and_both_are_kept(
    run: RunDirectory, labelling: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(labelling)).location.project
    ann = people[0]
    name = str(read_queue(run)[0].name)
    number = ann.annotate(ann.tasks(project)[name], "accept")
    assert import_review(run.root).summary.counts.accepted == 1
    reject = {"from_name": "verdict", "to_name": "strip", "type": "choices", "value": {"choices": ["reject"]}}
    ann.ask("PATCH", f"/api/annotations/{number}/", json={"result": [reject]})
    imported = import_review(run.root)
    assert (imported.added, imported.summary.counts.accepted, imported.summary.counts.rejected) == (1, 0, 1)
    assert [answer.judgement for answer in read_answers(run)] == ["accept", "reject"]


def test_a_push_puts_right_what_shows_something_else_and_gives_tasks_to_more_annotators(
    run: RunDirectory, labelling: Server, owner: Person
) -> None:
    config = config_of(labelling)
    first = push(run, config.model_copy(update={"media_url": "http://127.0.0.1:9/elsewhere", "annotators": 1}))
    again = push(run, config)
    assert (again.added, again.changed, again.location) == (0, len(read_queue(run)), first.location)
    with LabelStudio(labelling.address) as studio:
        assert all(data["strip"].startswith("/data/local-files/") for _, data in studio.tasks(again.location.project))
    assert owner.ask("GET", f"/api/projects/{again.location.project}/")["maximum_annotations"] == 3
    assert push(run, config).changed == 0


def test_a_skipped_task_and_a_draft_are_no_answers(
    run: RunDirectory, labelling: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(labelling)).location.project
    ann, bob, _ = people
    task = ann.tasks(project)[str(read_queue(run)[0].name)]
    accept = {"from_name": "verdict", "to_name": "strip", "type": "choices", "value": {"choices": ["accept"]}}
    ann.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": [accept], "was_cancelled": True})
    bob.ask("POST", f"/api/tasks/{task}/drafts", json={"result": [accept], "lead_time": 1.0})
    gathered = pull(run)
    assert (gathered.answers, gathered.problems) == ((), ())


def test_the_token_is_written_nowhere(run: RunDirectory, labelling: Server, token: str) -> None:
    push(run, config_of(labelling))
    assert all(token.encode() not in content for content in everything(run).values())
