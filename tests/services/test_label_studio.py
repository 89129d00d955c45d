"""A real Label Studio: the queue goes there once, three annotators answer, and the validation set follows."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from refsav.annotators.label_studio import TOKEN_VARIABLE, LabelStudio, LabelStudioError, NoProjectError
from refsav.annotators.review_project import push, read_place
from refsav.annotators.review_pull import pull
from refsav.annotators.review_queue import read_queue
from refsav.datasets.official_evaluation import EVALUATION_FOLDER, EXPRESSIONS_FILE
from refsav.datasets.records import ObjectKey
from refsav.datasets.review import TaskName
from refsav.datasets.review_answers import read_answers
from refsav.datasets.review_config import ReviewConfig
from refsav.datasets.run import RunDirectory
from refsav.datasets.samples import iterate
from refsav.datasets.statistics import read_statistics
from refsav.datasets.synthetic import write_scenes
from refsav.datasets.synthetic_scene import SynthConfig
from refsav.flows.build import build_ref_sav
from refsav.flows.build_config import BuildConfig
from refsav.flows.review import Imported, export_review, import_review
from tests.browser import Browser
from tests.label_studio import OWNER, PASSWORD, Person, Server, label_studio

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs lie; Label Studio serves their media from here."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with label_studio(tmp_path_factory.mktemp("label-studio"), root) as running:
        yield running


@pytest.fixture(scope="module")
def owner(server: Server) -> Person:
    return Person(server.address, OWNER)


@pytest.fixture(scope="module")
def people(owner: Person) -> tuple[Person, Person, Person]:
    ann, bob, eve = (Person.invited(owner, f"{name}@example.org") for name in ("ann", "bob", "eve"))
    return ann, bob, eve


@pytest.fixture(scope="module")
def token(owner: Person) -> str:
    return owner.token()


@pytest.fixture(autouse=True)
def environment(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)


@pytest.fixture(scope="module")
def built(prefect_server: None, server: Server, root: Path) -> Path:  # noqa: ARG001 - it runs there
    """Two made scenes, both held out, exported for review."""
    scenes = list(write_scenes(root / "scenes", SynthConfig(videos=2, frames=48, min_objects=3)))
    views = {"longest_side_px": 320, "frames": 4}
    settings = {"views": views, "split": {"val_share": 1.0}, "report": {"max_objects": 0}}
    build_ref_sav(root / "scenes", root / "built", BuildConfig.from_mapping(settings, "test"))
    assert export_review(root / "built", config_of(server)).tasks >= 4, scenes
    return root / "built"


@pytest.fixture
def run(built: Path, root: Path, request: pytest.FixtureRequest) -> RunDirectory:
    """A run of the test's own, that has a queue."""
    own = root / f"Prüfung {request.node.name[:60]}"  # paths may hold spaces and any letters
    shutil.copytree(built, own)
    return RunDirectory(own)


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


def config_of(server: Server) -> ReviewConfig:
    return ReviewConfig(address=server.address, batch_tasks=2, annotators=3)


def test_what_three_annotators_say_changes_the_validation_set_and_nothing_is_done_twice(
    run: RunDirectory, server: Server, people: tuple[Person, Person, Person]
) -> None:
    queue = read_queue(run)
    first = push(run, config_of(server))
    assert (first.added, first.there) == (len(queue), 0)
    again = push(run, config_of(server))
    assert (again.added, again.there, again.place) == (0, len(queue), first.place)

    ann, bob, eve = people
    tasks = ann.tasks(first.place.project)
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
    told = json.loads((run.exports / EVALUATION_FOLDER / EXPRESSIONS_FILE).read_text())["videos"].values()
    exported = [entry for video in told for entry in video["expressions"].values()]
    assert sorted(entry["type_id"] for entry in exported) == [0] * (len(queue) - 1) + [1]
    assert {answer.annotator for answer in read_answers(run)} == {person.email for person in people}

    kept = everything(run)
    assert import_review(run.root).added == 0
    assert push(run, config_of(server)).added == 0
    assert everything(run) == kept


def test_what_is_typed_into_the_page_is_what_a_pull_reads(run: RunDirectory, server: Server, tmp_path: Path) -> None:
    project = push(run, config_of(server)).place.project
    (first, *_) = read_queue(run)
    browser = Browser(shutil.which("chromium") or pytest.fail("apt-get install chromium"), tmp_path / "profile")
    try:
        browser.visit(f"{server.address}/user/login/")
        browser.write("input[name=email]", OWNER)
        browser.write("input[name=password]", PASSWORD)
        browser.value("document.querySelector('form').submit()")
        browser.until("location.pathname.startsWith('/user/')", wanted=False)
        browser.visit(f"{server.address}/projects/{project}/data?labeling=1")
        browser.until("document.querySelector('textarea[name=long]')?.value", wanted=first.text, within_s=60)
        browser.until("document.querySelector('video')?.readyState", wanted=4)
        browser.until("[...document.images].some(one => one.naturalWidth > 300)")
        browser.value("document.querySelector('input[name=fix]').click()")
        browser.write("textarea[name=long]", "Words typed into the page.")
        browser.write("[name=short]", "the one that was typed")
        browser.click("button[aria-label='Submit current annotation']")
        browser.until("document.querySelector('textarea[name=long]')?.value != 'Words typed into the page.'")
    finally:
        browser.close()
    (answer,) = pull(run).answers
    assert (answer.task, answer.judgement, answer.annotator) == (first.name, "fix", OWNER)
    assert (answer.long, answer.short) == ("Words typed into the page.", "the one that was typed")


def test_annotators_see_the_film_and_the_strip_and_strangers_do_not(
    run: RunDirectory, server: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(server)).place.project
    with LabelStudio(server.address) as studio:
        _, shown = next(studio.tasks(project))
    film = shown["film"].split('"')[1]
    for address, kind in ((film, "video/mp4"), (shown["strip"], "image/jpeg")):
        answer = people[0]._client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert httpx.get(server.address + address, trust_env=False).status_code in (401, 403, 404)


def test_what_cannot_be_used_is_told_and_the_rest_counts(
    run: RunDirectory, server: Server, owner: Person, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(server)).place.project
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
    assert any("'mine' names no task of refsav" in line for line in imported.problems)


def test_a_changed_mind_takes_the_place_of_the_first_answer_and_both_are_kept(
    run: RunDirectory, server: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(server)).place.project
    ann = people[0]
    name = str(read_queue(run)[0].name)
    number = ann.annotate(ann.tasks(project)[name], "accept")
    assert import_review(run.root).summary.counts.accepted == 1
    reject = {"from_name": "verdict", "to_name": "strip", "type": "choices", "value": {"choices": ["reject"]}}
    ann.ask("PATCH", f"/api/annotations/{number}/", json={"result": [reject]})
    imported = import_review(run.root)
    assert (imported.added, imported.summary.counts.accepted, imported.summary.counts.rejected) == (1, 0, 1)
    assert [answer.judgement for answer in read_answers(run)] == ["accept", "reject"]


def test_a_deleted_project_is_told_and_a_push_makes_another(
    run: RunDirectory, server: Server, owner: Person, people: tuple[Person, Person, Person]
) -> None:
    first = push(run, config_of(server))
    name = str(read_queue(run)[0].name)
    people[0].annotate(people[0].tasks(first.place.project)[name], "reject")
    import_review(run.root)
    owner.ask("DELETE", f"/api/projects/{first.place.project}/")
    with pytest.raises(NoProjectError, match=r"no such project of this run any more\n  fix: push again"):
        pull(run)
    with LabelStudio(server.address) as studio, pytest.raises(NoProjectError):
        studio.add_tasks(first.place.project, [{"task": name}])
    second = push(run, config_of(server))
    assert second.made_anew and second.added == len(read_queue(run))
    assert import_review(run.root).summary.counts.rejected == 1


def test_a_push_that_was_stopped_half_way_is_completed(run: RunDirectory, server: Server, owner: Person) -> None:
    first = push(run, config_of(server))
    tasks = owner.tasks(first.place.project)
    lost = list(tasks.values())[1:]
    for task in lost:
        owner.ask("DELETE", f"/api/tasks/{task}/")
    run.review_project.unlink()  # as if the process had been killed before it could keep the number
    again = push(run, config_of(server))
    assert (again.place, again.added, again.there) == (first.place, len(lost), 1)


def test_a_push_puts_right_what_shows_something_else_and_gives_tasks_to_more_annotators(
    run: RunDirectory, server: Server, owner: Person
) -> None:
    config = config_of(server)
    first = push(run, config.model_copy(update={"media_url": "http://127.0.0.1:9/elsewhere", "annotators": 1}))
    again = push(run, config)
    assert (again.added, again.changed, again.place) == (0, len(read_queue(run)), first.place)
    with LabelStudio(server.address) as studio:
        assert all(data["strip"].startswith("/data/local-files/") for _, data in studio.tasks(again.place.project))
    assert owner.ask("GET", f"/api/projects/{again.place.project}/")["maximum_annotations"] == 3
    assert push(run, config).changed == 0


def test_media_that_label_studio_would_not_show_is_told_before_tasks_are_sent(
    run: RunDirectory, server: Server, root: Path, owner: Person
) -> None:
    """Its document root is `root`, and the run is told of another one."""
    with pytest.raises(LabelStudioError, match=r"does not show this file: HTTP 404\n  fix: .* --document_root") as told:
        push(run, config_of(server).model_copy(update={"document_root": str(run.root)}))
    assert "local-files" in str(told.value)
    place = read_place(run)
    assert place and owner.tasks(place.project) == {}
    outside = RunDirectory(shutil.copytree(run.root, root.parent / "outside" / "run"))
    with pytest.raises(LabelStudioError, match=r"must be a subdirectory of .*\n  fix: .* --document_root"):
        push(outside, config_of(server))


def test_a_project_of_the_same_number_in_a_new_database_is_not_taken_for_the_runs(
    run: RunDirectory, server: Server, owner: Person
) -> None:
    first = push(run, config_of(server)).place
    other = owner.ask("POST", "/api/projects/", json={"title": "somebody's own"})["id"]
    run.review_project.write_text(run.review_project.read_text().replace(f":{first.project},", f":{other},"))
    with pytest.raises(NoProjectError, match="no such project of this run any more"):
        pull(run)
    assert push(run, config_of(server)).place == first
    assert owner.tasks(other) == {}


def test_what_an_annotator_said_who_has_no_account_any_more_counts_once(
    run: RunDirectory, server: Server, owner: Person
) -> None:
    project = push(run, config_of(server)).place.project
    name, leaver = str(read_queue(run)[0].name), Person.invited(owner, "leaver@example.org")
    leaver.annotate(leaver.tasks(project)[name], "accept")
    owner.annotate(owner.tasks(project)[name], "accept")
    assert import_review(run.root).added == 2
    (number,) = (one["id"] for one in owner.ask("GET", "/api/users/") if one["email"] == leaver.email)
    owner.ask("DELETE", f"/api/users/{number}/")
    imported = import_review(run.root)
    assert (imported.added, imported.summary.counts.accepted) == (0, 1)
    (line,) = imported.problems
    assert "whoever said this has no account any more" in line
    assert [answer.annotator for answer in read_answers(run)] == [leaver.email, OWNER]


def test_a_skipped_task_and_a_draft_are_no_answers(
    run: RunDirectory, server: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(server)).place.project
    ann, bob, _ = people
    task = ann.tasks(project)[str(read_queue(run)[0].name)]
    accept = {"from_name": "verdict", "to_name": "strip", "type": "choices", "value": {"choices": ["accept"]}}
    ann.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": [accept], "was_cancelled": True})
    bob.ask("POST", f"/api/tasks/{task}/drafts", json={"result": [accept], "lead_time": 1.0})
    gathered = pull(run)
    assert (gathered.answers, gathered.problems) == ((), ())


def test_a_wrong_token_is_one_clear_line_that_does_not_hold_it(
    run: RunDirectory, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "eyJhbGciOi.not-a-token.at-all")
    with pytest.raises(LabelStudioError, match=f"refuses the token in {TOKEN_VARIABLE}\n  fix: make a new") as told:
        push(run, config_of(server))
    assert "not-a-token" not in str(told.value)


def test_the_token_is_written_nowhere(run: RunDirectory, server: Server, token: str) -> None:
    push(run, config_of(server))
    assert all(token.encode() not in content for content in everything(run).values())
