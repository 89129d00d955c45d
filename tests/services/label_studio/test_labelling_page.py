"""The page that annotators see, in a real browser on a real Label Studio."""

import httpx
import pytest

from refsav.annotators.review.label_studio import LabelStudio
from refsav.annotators.review.project import push
from refsav.annotators.review.pull import pull
from refsav.annotators.review.queue import read_queue
from refsav.datasets.run.run_directory import RunDirectory
from tests.support.browser import Browser
from tests.support.label_studio import OWNER, PASSWORD, Person, Server, config_of

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SUBMIT = "button[aria-label='Submit current annotation']"


def test_what_is_typed_into_the_page_is_what_a_pull_reads(
    run: RunDirectory, labelling: Server, chromium: Browser
) -> None:
    project = push(run, config_of(labelling)).location.project
    first, second, third, *_ = read_queue(run)
    chromium.visit(f"{labelling.address}/user/login/")
    chromium.write("input[name=email]", OWNER)
    chromium.write("input[name=password]", PASSWORD)
    chromium.value("document.querySelector('form').submit()")
    chromium.until("location.pathname.startsWith('/user/')", wanted=False)
    chromium.visit(f"{labelling.address}/projects/{project}/data?labeling=1")
    chromium.until("document.querySelector('textarea[name=long]')?.value", wanted=first.text, within_s=60)
    chromium.until("document.querySelector('video')?.readyState", wanted=4)
    chromium.until("[...document.images].some(one => one.naturalWidth > 300)")
    chromium.value("document.querySelector('input[name=fix]').click()")
    chromium.write("textarea[name=long]", "Words typed into the page.")
    chromium.write("[name=short]", "the one that was typed")
    chromium.click(SUBMIT)
    chromium.until("document.querySelector('textarea[name=long]')?.value", wanted=second.text)

    chromium.click(SUBMIT)  # without a verdict, which makes the text a line with a pen beside it
    chromium.click(".ant-modal-confirm-btns button")
    chromium.until("!document.querySelector('.ant-modal-confirm')")
    pen = "document.querySelector('.refsav .lsf-textarea__actions')"
    assert chromium.value(f"getComputedStyle({pen}).opacity") == "1"
    chromium.click("[data-testid=htx-textbox-edit-button]")
    chromium.write("[data-testid=htx-textbox-input]", "Words typed with the pen.")
    chromium.click("[data-testid=htx-textbox-save]")
    chromium.value("document.querySelector('input[name=accept]').click()")
    chromium.click(SUBMIT)
    chromium.until("document.querySelector('textarea[name=long]')?.value", wanted=third.text)
    answer, with_pen = sorted(pull(run).answers, key=lambda one: one.answered_at)
    assert (with_pen.task, with_pen.judgement, with_pen.long) == (second.name, "fix", "Words typed with the pen.")
    assert (answer.task, answer.judgement, answer.annotator) == (first.name, "fix", OWNER)
    assert (answer.long, answer.short) == ("Words typed into the page.", "the one that was typed")


def test_annotators_see_the_film_and_the_strip_and_strangers_do_not(
    run: RunDirectory, labelling: Server, people: tuple[Person, Person, Person]
) -> None:
    project = push(run, config_of(labelling)).location.project
    with LabelStudio(labelling.address) as studio:
        _, shown = next(studio.tasks(project))
    film = shown["film"].split('"')[1]
    for address, kind in ((film, "video/mp4"), (shown["strip"], "image/jpeg")):
        answer = people[0]._client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert httpx.get(labelling.address + address, trust_env=False).status_code in (401, 403, 404)
