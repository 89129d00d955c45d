"""What goes wrong with a real Label Studio is one clear line, and everything else counts."""

import shutil
from pathlib import Path

import pytest

from refsav.annotators.review.label_studio import TOKEN_VARIABLE, LabelStudio, LabelStudioError, NoProjectError
from refsav.annotators.review.project import push, read_location
from refsav.annotators.review.pull import pull
from refsav.annotators.review.queue import read_queue
from refsav.datasets.records import ObjectKey
from refsav.datasets.review.answer_log import read_answers
from refsav.datasets.review.decisions import TaskName
from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.review import Imported, import_review
from tests.support.label_studio import OWNER, Person, Server, config_of

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


def test_what_cannot_be_used_is_reported_and_the_rest_counts(
    run: RunDirectory, labelling: Server, owner: Person, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(labelling)).location.project
    ann, bob, _ = people
    tasks = ann.tasks(project)
    queue = [str(task.name) for task in read_queue(run)]
    ann.annotate(tasks[queue[0]], "fix", long="   ")
    bob.annotate(tasks[queue[0]], "accept")
    owner.ask(
        "POST",
        f"/api/projects/{project}/import",
        json=[{"data": {"task": "mine", "text": "", "film": "", "strip": "", "asked": ""}}],
    )
    ann.annotate(ann.tasks(project)["mine"], "accept")
    gone = str(TaskName.of(ObjectKey("vos_000009", "manual", 7), "A ghost."))
    owner.ask(
        "POST",
        f"/api/projects/{project}/import",
        json=[{"data": {"task": gone, "text": "A ghost.", "film": "", "strip": "", "asked": ""}}],
    )
    bob.annotate(bob.tasks(project)[gone], "accept")
    imported: Imported = import_review(run.root)
    assert (imported.added, imported.summary.counts.accepted) == (2, 1)
    assert imported.summary.gone == ("vos_000009/manual/7",)
    assert len(imported.problems) == 2
    (empty,) = (line for line in imported.problems if "ann@example.org" in line)
    assert "the corrected text is empty; fix: write it, or reject the expression" in empty
    assert any("'mine' is not a task of refsav" in line for line in imported.problems)


def test_a_deleted_project_is_reported_and_a_push_makes_another(
    run: RunDirectory, labelling: Server, owner: Person, people: tuple[Person, Person, Person]
) -> None:
    first = push(run, config_of(labelling))
    name = str(read_queue(run)[0].name)
    people[0].annotate(people[0].tasks(first.location.project)[name], "reject")
    import_review(run.root)
    owner.ask("DELETE", f"/api/projects/{first.location.project}/")
    with pytest.raises(NoProjectError, match=r"the project of this run was deleted\n  fix: push again"):
        pull(run)
    with LabelStudio(labelling.address) as studio, pytest.raises(NoProjectError):
        studio.add_tasks(first.location.project, [{"task": name}])
    second = push(run, config_of(labelling))
    assert second.recreated and second.added == len(read_queue(run))
    assert import_review(run.root).summary.counts.rejected == 1


def test_a_push_that_was_stopped_half_way_is_completed(run: RunDirectory, labelling: Server, owner: Person) -> None:
    first = push(run, config_of(labelling))
    tasks = owner.tasks(first.location.project)
    lost = list(tasks.values())[1:]
    for task in lost:
        owner.ask("DELETE", f"/api/tasks/{task}/")
    run.review_project.unlink()  # as if the process had been killed before it could keep the number
    again = push(run, config_of(labelling))
    assert (again.location, again.added, again.there) == (first.location, len(lost), 1)


def test_media_that_label_studio_would_not_show_is_reported_before_tasks_are_sent(
    run: RunDirectory, labelling: Server, runs: Path, owner: Person
) -> None:
    """Its document root is `runs`; the run is configured with another one."""
    with pytest.raises(
        LabelStudioError, match=r"does not show this file: HTTP 404\n  fix: .* --document-root"
    ) as raised:
        push(run, config_of(labelling).model_copy(update={"document_root": str(run.root)}))
    assert "local-files" in str(raised.value)
    place = read_location(run)
    assert place and owner.tasks(place.project) == {}
    outside = RunDirectory(shutil.copytree(run.root, runs.parent / "outside" / "run"))
    with pytest.raises(LabelStudioError, match=r"must be a subdirectory of .*\n  fix: .* --document-root"):
        push(outside, config_of(labelling))


def test_a_project_of_the_same_number_in_a_new_database_is_not_taken_for_the_runs(
    run: RunDirectory, labelling: Server, owner: Person
) -> None:
    first = push(run, config_of(labelling)).location
    other = owner.ask("POST", "/api/projects/", json={"title": "somebody's own"})["id"]
    run.review_project.write_text(run.review_project.read_text().replace(f":{first.project},", f":{other},"))
    with pytest.raises(NoProjectError, match="the project of this run was deleted"):
        pull(run)
    assert push(run, config_of(labelling)).location == first
    assert owner.tasks(other) == {}


def test_what_an_annotator_said_who_has_no_account_any_more_counts_once(
    run: RunDirectory, labelling: Server, owner: Person
) -> None:
    project = push(run, config_of(labelling)).location.project
    name, leaver = str(read_queue(run)[0].name), Person.invited(owner, "leaver@example.org")
    leaver.annotate(leaver.tasks(project)[name], "accept")
    owner.annotate(owner.tasks(project)[name], "accept")
    assert import_review(run.root).added == 2
    (number,) = (one["id"] for one in owner.ask("GET", "/api/users/") if one["email"] == leaver.email)
    owner.ask("DELETE", f"/api/users/{number}/")
    imported = import_review(run.root)
    assert (imported.added, imported.summary.counts.accepted) == (0, 1)
    (line,) = imported.problems
    assert "the account of the annotator was deleted" in line
    assert [answer.annotator for answer in read_answers(run)] == [leaver.email, OWNER]


def test_a_wrong_token_is_one_clear_line_that_does_not_hold_it(
    run: RunDirectory, labelling: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "eyJhbGciOi.not-a-token.at-all")
    with pytest.raises(LabelStudioError, match=f"refuses the token in {TOKEN_VARIABLE}\n  fix: create a new") as raised:
        push(run, config_of(labelling))
    assert "not-a-token" not in str(raised.value)
