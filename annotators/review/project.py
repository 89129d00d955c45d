"""The queue as a project of Label Studio: every task goes there once."""

import hashlib
import html
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from pydantic import TypeAdapter, ValidationError

from refsav.annotators.review.label_studio import LabelStudio
from refsav.annotators.review.queue import ReviewTask, read_queue
from refsav.datasets.review.config import ReviewConfig
from refsav.datasets.review.decisions import REASONS
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import ConfigError, RecordError
from refsav.files import write_bytes

ASKED = {
    ("long", "short"): "Judge the long expression, and write a short one.",
    ("long",): "Judge the long expression. No short one is needed.",
    ("short",): "Write a short expression, and judge the long one on the way.",
}
"""What stands above a task."""


@dataclass(frozen=True, slots=True)
class ProjectPlace:
    """Which project belongs to a run; kept in the run, without any token."""

    address: str
    project: int
    mark: str
    """Stands in the project's description, and in no other one's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What a push has done."""

    place: ProjectPlace
    added: int
    there: int
    """Tasks of the queue that the project had already."""
    changed: int
    """Those of them that showed something else: their media lay elsewhere, or other things were asked."""
    made_anew: bool
    """The project of an earlier push is gone from the server, so there is another one."""


def push(run: RunDirectory, config: ReviewConfig) -> Pushed:
    """Send the tasks that are not in Label Studio yet, in batches; pushing twice adds nothing.

    Those that are there and show something else are put right. Stopped in the middle, the next push sends the rest.

    Raises:
        ConfigError: If there is no token, or the run lies outside of what Label Studio serves.
        LabelStudioError: If the server does not answer, or refuses something.
        RecordError: If there is no queue, or a file of the review is damaged.
        DiskError: If the project's number cannot be kept.
    """
    tasks = read_queue(run)
    prefix = "" if config.media_url else _local_prefix(run, config)
    with LabelStudio(config.address) as server:
        before = read_place(run)
        place, made = _project(server, run, config, before)
        server.give_to(place.project, config.annotators)
        wanted = {str(task.name): _data(task, config.media_url or prefix) for task in tasks}
        if prefix and tasks:
            server.serve_folder(place.project, run.review.resolve() / "media", next(iter(wanted.values()))["strip"])
        there = {data.get("task"): (number, data) for number, data in server.tasks(place.project)}
        outdated = [
            name for name, data in wanted.items() if name in there and not data.items() <= there[name][1].items()
        ]
        for name in outdated:
            number, data = there[name]
            server.change_task(number, data | wanted[name])
        missing = [data for name, data in wanted.items() if name not in there]
        for start in range(0, len(missing), config.batch_tasks):
            server.add_tasks(place.project, missing[start : start + config.batch_tasks])
    return Pushed(
        place=place,
        added=len(missing),
        there=len(tasks) - len(missing),
        changed=len(outdated),
        made_anew=made and before is not None and before.address == config.address,
    )


def label_config() -> str:
    """The labelling page, as Label Studio reads it."""
    template = files("refsav.annotators.review").joinpath("label_studio.xml").read_text(encoding="utf-8")
    return template.replace("<!-- reasons -->", "\n    ".join(f"<Choice value={quoteattr(one)}/>" for one in REASONS))


def read_place(run: RunDirectory) -> ProjectPlace | None:
    """Give the project of a run; None if nothing has been pushed. Raises RecordError."""
    try:
        return _PLACE.validate_json(run.review_project.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        fix = "delete it and push again: the project is found by its description"
        raise RecordError(run.review_project, "", "is damaged", fix) from None


def _project(
    server: LabelStudio, run: RunDirectory, config: ReviewConfig, before: ProjectPlace | None
) -> tuple[ProjectPlace, bool]:
    """Find the run's project, or make one; True if it was made."""
    path_digest = hashlib.sha256(str(run.root.resolve()).encode()).hexdigest()
    mark = before.mark if before else f"refsav {path_digest[:16]}"
    if before and before.address == config.address and server.has_project(before.project, mark):
        return before, False
    # A push that was killed before it could keep the number is known by the mark.
    project = server.find_project(mark)
    made = project is None
    if project is None:
        title, description = f"RefSAV {run.root.resolve().name}", f"Validation of Ref-SAV (keep this mark: {mark})"
        project = server.create_project(title, description, label_config(), config.annotators)
    place = ProjectPlace(config.address, project, mark)
    write_bytes(run.review_project, _PLACE.dump_json(place) + b"\n")
    return place, made


def _local_prefix(run: RunDirectory, config: ReviewConfig) -> str:
    """Where Label Studio serves the review folder as local files."""
    root = Path(config.document_root).resolve() if config.document_root else run.root.resolve().parent
    if not run.review.resolve().is_relative_to(root):
        raise ConfigError(
            f"{run.review}: lies outside of {root}, from where Label Studio serves files\n"
            "  fix: give that folder as --document_root, or serve the review folder and give its --media_url"
        )
    return f"/data/local-files/?d={quote(run.review.resolve().relative_to(root).as_posix())}"


def _data(task: ReviewTask, prefix: str) -> dict[str, str]:
    """What the labelling page shows."""
    film, strip = (f"{prefix.rstrip('/')}/{quote(path)}" for path in (task.media.film, task.media.strip))
    return {
        "task": str(task.name),
        "asked": ASKED[task.asks],
        "text": task.text,
        "film": f'<video src="{html.escape(film)}" controls loop autoplay muted></video>',
        "strip": strip,
    }


_PLACE = TypeAdapter(ProjectPlace)
