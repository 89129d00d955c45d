"""Prompt files: one for each task, versioned by digest. The text above the line `---` is the system turn."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from refsav.annotators.engines.engine import STAGE_OF_TASK, Task
from refsav.errors import RecordError

SHIPPED = Path(__file__).parent / "prompts"

FIELDS: Mapping[Task, frozenset[str]] = {
    "object-crop": frozenset(),
    "object-masked": frozenset(),
    "judge": frozenset({"first", "second"}),
    "judge-reason": frozenset({"first", "second"}),
    "scene": frozenset({"description", "masked"}),
    "video": frozenset({"description", "count", "seconds", "hidden"}),
}
"""Which `$fields` a task's prompt may use."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One task's prompt."""

    system: str
    user: str
    digest: str
    """Hex SHA-256 of the file."""

    def filled(self, fields: Mapping[str, str]) -> str:
        """The user turn with its fields filled in."""
        return Template(self.user).substitute(fields)


@cache
def load_prompts(folder: Path = SHIPPED) -> Mapping[Task, Prompt]:
    """Read the prompt of every task; the shipped one for tasks without a file in `folder`.

    Raises:
        RecordError: If a file has no `---` line, or uses a field that its task does not have.
    """
    if not folder.is_dir():
        raise RecordError(
            folder, "", "there is no such folder", "give a folder with prompt files, or leave stages.prompts empty"
        )
    return {task: _read(task, folder / f"{task}.txt") for task in STAGE_OF_TASK}


def prompts_digest(prompts: Mapping[Task, Prompt]) -> str:
    """Hex SHA-256 over all prompts: the version in the provenance of every record."""
    return hashlib.sha256("".join(prompts[task].digest for task in sorted(prompts)).encode()).hexdigest()


def _read(task: Task, path: Path) -> Prompt:
    if not path.is_file():
        path = SHIPPED / path.name
    content = path.read_bytes()
    system, separator, user = content.decode().partition("\n---\n")
    if not separator:
        raise RecordError(path, "", "has no line `---`", "write the system turn, a line `---`, and the user turn")
    unknown = set(Template(user).get_identifiers()) - FIELDS[task]
    if unknown or not Template(user).is_valid():
        problem = f"uses unknown fields: ${', $'.join(sorted(unknown))}" if unknown else "has a $ that names no field"
        known = ", ".join(f"${name}" for name in sorted(FIELDS[task])) or "none"
        raise RecordError(path, "", problem, f"the fields of this prompt are: {known}; write $$ for a dollar sign")
    return Prompt(system.strip(), user.strip(), hashlib.sha256(content).hexdigest())
