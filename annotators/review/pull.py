"""Annotations of Label Studio as answers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from refsav.annotators.review.label_studio import NO_PROJECT, LabelStudio, NoProjectError
from refsav.annotators.review.project import ProjectPlace, read_place
from refsav.datasets.review.decisions import (
    Answer,
    Gathered,
    Judgement,
    TaskName,
    UnusableAnswerError,
    checked_answer,
    timestamp,
)
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError


def pull(run: RunDirectory) -> Gathered:
    """Read all annotations of the run's project; Label Studio is left as it is.

    Raises:
        ConfigError: If there is no token.
        LabelStudioError: If the server does not answer, or the project is gone.
        RecordError: If nothing has been pushed.
    """
    place = place_of(run)
    with LabelStudio(place.address) as server:
        if not server.has_project(place.project, place.mark):
            raise NoProjectError(f"{place.address}/projects/{place.project}: {NO_PROJECT}")
        names = server.annotators()
        exported = server.annotated_tasks(place.project)
    found = [one for content in exported for one in answers_of(content, names)]
    where = f"{place.address}/projects/{place.project}"
    return Gathered(
        answers=tuple(one for one in found if isinstance(one, Answer)),
        problems=tuple(f"{where}: {one}" for one in found if isinstance(one, str)),
    )


def place_of(run: RunDirectory) -> ProjectPlace:
    """Give the project that a run was pushed to. Raises RecordError if there is none."""
    place = read_place(run)
    if place is None:
        raise RecordError(run.review_project, "", "is missing", "send the queue first: refsav review push RUN")
    return place


def answers_of(exported: Mapping[str, Any], names: Mapping[int, str]) -> Iterator[Answer | str]:
    """Yield the answers to one task as Label Studio exports it, or for one that is none, what is wrong with it.

    Args:
        exported: The task with its annotations.
        names: Annotators by Label Studio's number; one who has left is called by it.
    """
    try:
        task = _Task.model_validate(exported)
        name = TaskName.parse(task.data.task)
    except ValidationError:
        yield f"task {exported.get('id')}: is no task of refsav; fix: keep other tasks in a project of their own"
        return
    except UnusableAnswerError as error:
        yield f"task {exported.get('id')}: {error}".replace("\n  fix:", "; fix:")
        return
    for annotation in task.annotations:
        place = f"task {task.id} ({name.key})"
        try:
            typed = _Annotation.model_validate(annotation)
            if typed.was_cancelled:  # skipped by the annotator
                continue
            who = _who(typed, names)
            place += f", {who}"
            yield checked_answer(_shown(name, task.data.text), _typed(name, typed, who))
        except ValidationError:
            yield f"{place}: annotation {annotation.get('id')} is none of this page; fix: delete it and annotate anew"
        except UnusableAnswerError as error:
            yield f"{place}: {error}".replace("\n  fix:", "; fix:")


def _shown(name: TaskName, text: str) -> str:
    if TaskName.of(name.key, text) != name:
        fix = "push again, which puts them back, then annotate anew"
        raise UnusableAnswerError(f"the words of the task were changed in Label Studio\n  fix: {fix}")
    return text


class _Exported(BaseModel):
    """Base of what is needed of an export; other keys are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Shown(_Exported):
    task: str
    text: str


class _Value(_Exported):
    choices: tuple[str, ...] = ()
    text: tuple[str, ...] | str = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else self.text


class _Result(_Exported):
    from_name: str = ""
    value: _Value = _Value()


class _Annotation(_Exported):
    completed_by: int | None
    """None once the account was deleted."""
    updated_by: int | None = None
    was_cancelled: bool
    updated_at: datetime
    result: tuple[_Result, ...]


class _Task(_Exported):
    id: int
    data: _Shown
    annotations: tuple[dict[str, Any], ...]


def _who(annotation: _Annotation, names: Mapping[int, str]) -> str:
    """Whose words these are: an annotation that somebody else has changed says what that one says."""
    number = annotation.updated_by or annotation.completed_by
    if not number:  # under another name it would count twice, if it was pulled while the account was there
        raise UnusableAnswerError("whoever said this has no account any more\n  fix: ask somebody else")
    return names.get(number, f"user {number}")


def _typed(name: TaskName, annotation: _Annotation, who: str) -> Answer:
    """The answer as it was given on the page, whose names are those of label_studio.xml."""
    values = {result.from_name: result.value for result in annotation.result}
    nothing = _Value()
    verdict = next(iter(values.get("verdict", nothing).choices), "none")
    return Answer(
        task=name,
        judgement=cast(Judgement, verdict if verdict in get_args(Judgement) else "none"),
        reasons=values.get("reasons", nothing).choices,
        long="\n".join(values.get("long", nothing).lines),
        short="\n".join(values.get("short", nothing).lines),
        annotator=who,
        answered_at=timestamp(annotation.updated_at),
    )
