"""The queue as a Label Studio project: every task is sent once."""

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
from refsav.disk.files import write_bytes
from refsav.errors import ConfigError, RecordError

ASKED = {
    ("long", "short"): "Judge the long expression, and write a short one.",
    ("long",): "Judge the long expression. No short one is needed.",
    ("short",): "Write a short expression, and judge the long one on the way.",
}
"""The instruction above a task."""


@dataclass(frozen=True, slots=True)
class ProjectLocation:
    """The project that belongs to a run; stored in the run, without any token."""

    address: str
    project: int
    mark: str
    """Is in the description of this project and of no other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What a push has done."""

    location: ProjectLocation
    added: int
    there: int
    """Tasks of the queue that were already in the project."""
    changed: int
    """Those of them that were updated: their media had moved, or their question has changed."""
    recreated: bool
    """The project of an earlier push was deleted on the server, so a new one was created."""


def push(run: RunDirectory, config: ReviewConfig) -> Pushed:
    """Send the tasks that are not in Label Studio yet, in batches; pushing twice adds nothing.

    Existing tasks that differ are updated. If a push is interrupted, the next one sends the rest.

    Raises:
        ConfigError: If there is no token, or the run is outside the folder that Label Studio serves.
        LabelStudioError: If the server does not answer, or refuses something.
        RecordError: If there is no queue, or a file of the review is damaged.
        DiskError: If the project's number cannot be stored.
    """
    tasks = read_queue(run)
    prefix = "" if config.media_url else _local_prefix(run, config)
    with LabelStudio(config.address) as server:
        before = read_location(run)
        location, made = _project(server, run, config, before)
        server.set_annotators(location.project, config.annotators)
        wanted = {str(task.name): _data(task, config.media_url or prefix) for task in tasks}
        if prefix and tasks:
            server.serve_folder(location.project, run.review.resolve() / "media", next(iter(wanted.values()))["strip"])
        there = {data.get("task"): (number, data) for number, data in server.tasks(location.project)}
        outdated = [
            name for name, data in wanted.items() if name in there and not data.items() <= there[name][1].items()
        ]
        for name in outdated:
            number, data = there[name]
            server.change_task(number, data | wanted[name])
        missing = [data for name, data in wanted.items() if name not in there]
        for start in range(0, len(missing), config.batch_tasks):
            server.add_tasks(location.project, missing[start : start + config.batch_tasks])
    return Pushed(
        location=location,
        added=len(missing),
        there=len(tasks) - len(missing),
        changed=len(outdated),
        recreated=made and before is not None and before.address == config.address,
    )


def label_config() -> str:
    """The labelling page, as Label Studio reads it."""
    template = files("refsav.annotators.review").joinpath("label_studio.xml").read_text(encoding="utf-8")
    return template.replace("<!-- reasons -->", "\n    ".join(f"<Choice value={quoteattr(one)}/>" for one in REASONS))


def read_location(run: RunDirectory) -> ProjectLocation | None:
    """Read which project belongs to a run; None if nothing has been pushed. Raises RecordError."""
    try:
        return _LOCATION.validate_json(run.review_project.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        fix = "delete it and push again: the project is found by its description"
        raise RecordError(run.review_project, "", "is damaged", fix) from None


def _project(
    server: LabelStudio, run: RunDirectory, config: ReviewConfig, before: ProjectLocation | None
) -> tuple[ProjectLocation, bool]:
    """Find the run's project, or create one; True if it was created."""
    path_digest = hashlib.sha256(str(run.root.resolve()).encode()).hexdigest()
    mark = before.mark if before else f"refsav {path_digest[:16]}"
    if before and before.address == config.address and server.has_project(before.project, mark):
        return before, False
    # The project of a push that was killed before it stored the number is found by the mark.
    project = server.find_project(mark)
    made = project is None
    if project is None:
        title, description = f"RefSAV {run.root.resolve().name}", f"Validation of Ref-SAV (keep this mark: {mark})"
        project = server.create_project(title, description, label_config(), config.annotators)
    location = ProjectLocation(config.address, project, mark)
    write_bytes(run.review_project, _LOCATION.dump_json(location) + b"\n")
    return location, made


def _local_prefix(run: RunDirectory, config: ReviewConfig) -> str:
    """The URL path under which Label Studio serves the review folder as local files."""
    root = Path(config.document_root).resolve() if config.document_root else run.root.resolve().parent
    if not run.review.resolve().is_relative_to(root):
        raise ConfigError(
            f"is outside {root}, the folder that Label Studio serves",
            fix="give that folder as --document-root, or serve the review folder and give its --media-url",
            path=run.review,
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


_LOCATION = TypeAdapter(ProjectLocation)
