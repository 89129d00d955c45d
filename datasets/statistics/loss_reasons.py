"""Why objects were lost, in few words: equal causes get equal words, so that they can be counted and filtered."""

import re

from refsav.datasets.records import Dropped, Failed

PLACE = re.compile(r"[/\\]|:\d|\.\w|^(object-crop|object-masked|judge|judge-reason|scene|video)$")
"""A file, or the task that was asked: what stands before the first colon of most errors."""

ATTEMPTS = re.compile(r"^\d+ (attempts|tries), the last: ")
LONGEST = 80


def cause_of(record: Dropped | Failed) -> str:
    """Name the cause without the file that it is about, without details after a colon, and without numbers."""
    if isinstance(record, Dropped):
        told = "the two descriptions contradict each other" if record.stage == "judge" else record.reason
    else:
        told = record.error.partition("; fix: ")[0]
    place, _, rest = told.partition(": ")
    problem = rest if rest and PLACE.search(place) else told
    problem = ATTEMPTS.sub("", problem).partition(": ")[0]
    return re.sub(r"\d+", "…", problem.strip())[:LONGEST] or "unknown"
