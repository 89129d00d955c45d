"""Label Studio annotations, read as answers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from refsav.annotators.review.label_studio import LabelStudio, NoProjectError
from refsav.annotators.review.project import ProjectLocation, read_location
from refsav.datasets.review.decisions import (
    CollectedAnswers,
    Judgement,
    ReviewAnswer,
    TaskName,
    UnusableAnswerError,
    checked_answer,
    timestamp,
)
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError


def pull(run: RunDirectory) -> CollectedAnswers:
    """Read all annotations of the run's project; Label Studio is left as it is.

    Raises:
        ConfigError: If there is no token.
        LabelStudioError: If the server does not answer, or the project is gone.
        RecordError: If nothing has been pushed.
    """
    location = location_of(run)
    where = f"{location.address}/projects/{location.project}"
    with LabelStudio(location.address) as server:
        if not server.has_project(location.project, location.mark):
            raise NoProjectError(where)
        names = server.annotators()
        exported = server.annotated_tasks(location.project)
    found = [one for content in exported for one in answers_of(content, names)]
    return CollectedAnswers(
        answers=tuple(one for one in found if isinstance(one, ReviewAnswer)),
        problems=tuple(f"{where}: {one}" for one in found if isinstance(one, str)),
    )


def location_of(run: RunDirectory) -> ProjectLocation:
    """The project that a run was pushed to. Raises RecordError if the run was not pushed."""
    location = read_location(run)
    if location is None:
        raise RecordError(run.review_project, "", "is missing", "send the queue first: refsav review push RUN")
    return location


def answers_of(exported: Mapping[str, Any], names: Mapping[int, str]) -> Iterator[ReviewAnswer | str]:
    """Yield the answers to one exported task; for an annotation that cannot be used, one line with the problem.

    Args:
        exported: The task with its annotations.
        names: Annotators by user number; deleted users are named by their number.
    """
    try:
        task = _Task.model_validate(exported)
        name = TaskName.parse(task.data.task)
    except ValidationError:
        where, fix = f"task {exported.get('id')}", "move other tasks to another project"
        yield UnusableAnswerError("is not a task of refsav", fix=fix, where=where).line
        return
    except UnusableAnswerError as error:
        yield f"task {exported.get('id')}: {error.line}"
        return
    for annotation in task.annotations:
        where = f"task {task.id} ({name.key})"
        try:
            typed = _Annotation.model_validate(annotation)
            if typed.was_cancelled:  # skipped by the annotator
                continue
            who = _who(typed, names)
            where += f", {who}"
            yield checked_answer(_shown(name, task.data.text), _typed(name, typed, who))
        except ValidationError:
            problem = f"annotation {annotation.get('id')} is not from the page of refsav"
            yield UnusableAnswerError(problem, fix="delete it and annotate again", where=where).line
        except UnusableAnswerError as error:
            yield f"{where}: {error.line}"


def _shown(name: TaskName, text: str) -> str:
    if TaskName.of(name.key, text) != name:
        fix = "push again, which restores it, then annotate again"
        raise UnusableAnswerError("the text of the task was changed in Label Studio", fix=fix)
    return text


class _Exported(BaseModel):
    """Base of the parts of an export that are read; other keys are ignored."""

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
    """None if the account was deleted."""
    updated_by: int | None = None
    was_cancelled: bool
    updated_at: datetime
    result: tuple[_Result, ...]


class _Task(_Exported):
    id: int
    data: _Shown
    annotations: tuple[dict[str, Any], ...]


def _who(annotation: _Annotation, names: Mapping[int, str]) -> str:
    """The author of an annotation: the last person who changed it."""
    number = annotation.updated_by or annotation.completed_by
    if not number:  # under another name it would count twice if it was pulled before the account was deleted
        raise UnusableAnswerError("the account of the annotator was deleted", fix="let somebody else annotate it")
    return names.get(number, f"user {number}")


def _typed(name: TaskName, annotation: _Annotation, who: str) -> ReviewAnswer:
    """The answer as given on the page; names as in label_studio.xml."""
    values = {result.from_name: result.value for result in annotation.result}
    nothing = _Value()
    verdict = next(iter(values.get("verdict", nothing).choices), "none")
    return ReviewAnswer(
        task=name,
        judgement=cast(Judgement, verdict if verdict in get_args(Judgement) else "none"),
        reasons=values.get("reasons", nothing).choices,
        long="\n".join(values.get("long", nothing).lines),
        short="\n".join(values.get("short", nothing).lines),
        annotator=who,
        answered_at=timestamp(annotation.updated_at),
    )
