"""Short reasons why objects were lost: equal causes have equal texts, so that they can be counted and filtered."""

import re

from refsav.datasets.records import Dropped, Failed

LOCATION = re.compile(r"[/\\]|:\d|\.\w|^(object-crop|object-masked|judge|judge-reason|scene|video)$")
"""A file or a task of the engine, which comes before the first colon of most errors."""

ATTEMPTS = re.compile(r"^\d+ (attempts|tries), the last: ")
LONGEST = 80
"""Most characters of a reason."""


def cause_of(record: Dropped | Failed) -> str:
    """Return the cause of a loss without its file, without details after a colon, and without numbers."""
    if isinstance(record, Dropped):
        error = "the two descriptions contradict each other" if record.stage == "judge" else record.reason
    else:
        error = record.error.partition("; fix: ")[0]
    location, _, rest = error.partition(": ")
    problem = rest if rest and LOCATION.search(location) else error
    problem = ATTEMPTS.sub("", problem).partition(": ")[0]
    return re.sub(r"\d+", "…", problem.strip())[:LONGEST] or "unknown"
